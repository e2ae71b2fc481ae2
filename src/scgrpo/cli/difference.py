"""`scgrpo compare A B`: the paired difference of two evaluations."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scgrpo.cli.tables import with_interval
from scgrpo.evaluation.compare import paired_difference
from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import Record, read_records
from scgrpo.mistakes import ConfigError


def show_difference(
    records: Sequence[Path], split: str | None, console: Console | None = None
) -> None:
    """Show the paired difference of two record files.

    Args:
        records: two record files.
        split: on which they are compared; by default the one that they share.
        console: where the table goes.

    Raises:
        ValueError: for anything but two files with records of the split and a shared problem.
    """
    if len(records) != 2:
        raise ConfigError(
            f"{len(records)} record files are given; give two, or a matrix of methods by --config."
        )
    first, second = records
    split = split or _shared_split(first, second)
    before, after = _of_split(first, split), _of_split(second, split)
    table = Table("measure", first.stem, second.stem, "difference [95 %]", title=split)
    for name, statistic in (("Avg@k", avg_at_k), ("Pass@k", pass_at_k)):
        result = paired_difference(before, after, statistic)
        table.add_row(
            name,
            f"{result.first:.3f}",
            f"{result.second:.3f}",
            f"[bold]{with_interval(result.difference, '+.3f')}[/]",
        )
    console = console or Console()
    console.print(table)
    console.print(f"{result.problems} problems in both", style="dim")


def _shared_split(first: Path, second: Path) -> str:
    splits = [{str(record["split"]) for record in read_records(path)} for path in (first, second)]
    shared = sorted(set.intersection(*splits))
    if len(shared) != 1:
        there = " and ".join(", ".join(sorted(found)) or "none" for found in splits)
        raise ConfigError(
            f"{first} and {second} share {len(shared)} splits ({there}); name one by --split."
        )
    return shared[0]


def _of_split(path: Path, split: str) -> list[Record]:
    records = read_records(path)
    chosen = [record for record in records if record["split"] == split]
    if not chosen:
        there = ", ".join(sorted({str(record["split"]) for record in records})) or "none"
        raise ConfigError(f"{path} has no records of split {split!r} (it has: {there}).")
    return chosen
