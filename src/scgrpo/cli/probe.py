"""`scgrpo probe`: what is shown of a probe."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from scgrpo.cli.progress_text import duration
from scgrpo.cli.quiet import quiet
from scgrpo.cli.tables import print_table
from scgrpo.probe.request import ProbeRequest


def run_probe(request: ProbeRequest, console: Console | None = None) -> Path:
    """Probe, and show and write the results.

    Returns:
        The HTML page.

    Raises:
        ValueError: for a model, task, run or setting that cannot be.
        OSError: where another process probes into the same folder.
    """
    console = console or Console()
    request.check()
    with console.status("loading ...") if console.is_terminal else nullcontext():
        quiet()
        from scgrpo.probe.results import NAME, read_results
        from scgrpo.probe.run import Told, probe
        from scgrpo.reports.probe import write_probe
    folder = probe(request, Told(_Shown(console), _said(console)))
    if not _is_main():
        return folder
    results = read_results(folder / NAME)
    for policy in results["policies"]:
        print_table(console, _table(results, policy))
        for sentence in policy["verdict"].values():
            console.print(sentence, soft_wrap=True, highlight=False, markup=False)
    page = write_probe(folder / NAME, folder / "probe.html")
    console.print(f"Numbers: {folder / NAME}", soft_wrap=True, highlight=False)
    console.print(f"Page: {page}", soft_wrap=True, highlight=False)
    return page


class _Shown:
    """One line a batch, and one line in all on a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, progress: Any) -> None:
        if not _is_main():
            return
        parts = [f"{progress.policy}: batch {progress.done}/{progress.batches}"]
        if progress.seconds == progress.seconds:
            parts += [f"{progress.seconds:.1f} s each", f"{duration(progress.seconds_left)} left"]
        text, end = ", ".join(parts), "\n"
        if self.console.is_terminal and progress.done < progress.batches:
            # In the place of the last one, which a line that wraps would not be.
            width = self.console.width - 1
            text, end = text[:width].ljust(width), "\r"
        self.console.print(text, end=end, soft_wrap=True, highlight=False, markup=False)


def _said(console: Console) -> Any:
    def say(words: str) -> None:
        if _is_main():
            console.print(words, soft_wrap=True, highlight=False, markup=False)

    return say


def _is_main() -> bool:
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _table(results: Mapping[str, Any], policy: Mapping[str, Any]) -> Table:
    from scgrpo.probe.verdict import with_interval

    table = Table(
        "weighting",
        "worth, Adam",
        "worth, SGD",
        "mean",
        "effective",
        title=f"{results['model']} on {results['task']}, {policy['policy']}: worth in rollouts",
    )
    adam, sgd = (policy["forms"][form]["weightings"] for form in ("adam", "sgd"))
    for name, own in adam.items():
        weights = policy["weights"].get(name, {"mean": 1.0, "effective_share": 1.0})
        table.add_row(
            name,
            with_interval(own["k"]),
            with_interval(sgd[name]["k"]),
            f"{weights['mean']:.2f}",
            f"{weights['effective_share']:.0%}",
        )
    return table
