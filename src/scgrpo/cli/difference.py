"""`scgrpo compare A B`: the paired difference of two evaluations."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scgrpo.cli.tables import print_table, with_interval
from scgrpo.evaluation.compare import paired_difference
from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import Record, read_records, reward_matrix
from scgrpo.mistakes import ConfigError
from scgrpo.run_folder import RunFolder


def show_difference(
    given: Sequence[Path], split: str | None, console: Console | None = None
) -> None:
    """Show the paired difference of two evaluations.

    Args:
        given: two record files, or run folders, of which the last evaluation is taken.
        split: on which they are compared; by default all that they share.
        console: where the tables go.

    Raises:
        ValueError: for anything but two files with records of the split and a shared problem.
    """
    if len(given) != 2:
        raise ConfigError(
            f"{len(given)} record files or run folders are given; give two, or the YAML of a "
            "matrix of methods."
        )
    console = console or Console()
    first, second = map(_records_of, given)
    for shared in [split] if split else _shared_splits(first, second):
        _show_split(first, second, shared, console)


def _show_split(first: Path, second: Path, split: str, console: Console) -> None:
    before, after = _of_split(first, split), _of_split(second, split)
    counts = [reward_matrix(records)[1].shape[1] for records in (before, after)]
    k, thresholds = min(counts), _thresholds(first, second)
    measures = {f"Avg@{k}" if k == max(counts) else "Avg": avg_at_k}
    if len(thresholds) == 1:
        measures[f"Pass@{k}"] = partial(pass_at_k, k=k, solve_threshold=thresholds[0])
    table = Table("measure", _name(first), _name(second), "difference [95 %]", title=split)
    for name, statistic in measures.items():
        result = paired_difference(before, after, statistic)
        table.add_row(
            name,
            f"{result.first:.3f}",
            f"{result.second:.3f}",
            f"[bold]{with_interval(result.difference, '+.3f')}[/]",
        )
    print_table(console, table)
    samples = " and ".join(map(str, dict.fromkeys(counts)))
    text = f"{result.problems} problems in both, {samples} samples of each"
    if thresholds != [1.0]:
        text += f", solved from a reward of {' and '.join(f'{own:g}' for own in thresholds)}"
    if len(thresholds) > 1:
        text += ", so that Pass@k is left out"
    console.print(text, style="dim", soft_wrap=True)


def _thresholds(*records: Path) -> list[float]:
    """Rewards from which on the runs count a sample as solved; [1] where no run says."""
    configs = [run.read_config() or {} for path in records if (run := _run_of(path))]
    found = {float((config.get("trainer") or {}).get("solve_threshold", 1)) for config in configs}
    return sorted(found) or [1.0]


def _records_of(given: Path) -> Path:
    if not given.is_dir():
        return given
    found = RunFolder(given).last_evaluation()
    if found is None:
        raise ConfigError(
            f"{given} holds no evaluation of its own (eval/step_N.jsonl); give the records of one: "
            f"scgrpo evaluate {given} -o FILE.jsonl"
        )
    return found


def _name(records: Path) -> str:
    """What a column is called: of a run, its name and the step."""
    run = _run_of(records)
    if run is None:
        return escape(records.stem)
    return escape(f"{run.path.name}, step {int(records.stem.removeprefix('step_'))}")


def _run_of(records: Path) -> RunFolder | None:
    """The run whose own evaluation records are; None for those of an evaluation by itself."""
    folder = records.resolve().parent
    is_step = records.stem.removeprefix("step_").isdigit()
    return RunFolder(folder.parent) if folder.name == "eval" and is_step else None


def _shared_splits(first: Path, second: Path) -> list[str]:
    splits = [{str(record["split"]) for record in read_records(path)} for path in (first, second)]
    shared = sorted(set.intersection(*splits))
    if not shared:
        there = " and ".join(", ".join(sorted(found)) or "none" for found in splits)
        raise ConfigError(
            f"{first} and {second} share no split ({there}); evaluate both on the same one."
        )
    return shared


def _of_split(path: Path, split: str) -> list[Record]:
    records = read_records(path)
    chosen = [record for record in records if record["split"] == split]
    if not chosen:
        there = ", ".join(sorted({str(record["split"]) for record in records})) or "none"
        raise ConfigError(f"{path} has no records of split {split!r} (it has: {there}).")
    return chosen
