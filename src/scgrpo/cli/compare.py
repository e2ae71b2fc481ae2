"""`scgrpo compare --config`: a matrix of methods, seeds and tasks."""

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from scgrpo.cli.errors import Failure
from scgrpo.cli.progress_text import duration
from scgrpo.comparison.collect import results_of, unfinished
from scgrpo.comparison.config import Comparison
from scgrpo.comparison.load import load_comparison
from scgrpo.comparison.plan import check, main_runs, run_missing, sweep_runs
from scgrpo.files import write_atomically
from scgrpo.jobs import Job, cores
from scgrpo.locks import Lock
from scgrpo.reports import write_report
from scgrpo.reports.comparison import write_comparison
from scgrpo.reports.rows import rows, write_results
from scgrpo.reports.table import markdown


def run_matrix(
    path: Path,
    only: Sequence[str],
    tasks: Sequence[str],
    at_a_time: int | None,
    *,
    dry_run: bool = False,
    console: Console | None = None,
) -> None:
    """Run what is missing of a comparison, and write its results and its page.

    Args:
        path: YAML of the comparison.
        only: methods that are run, all by default.
        tasks: tasks on which they are run, all by default.
        at_a_time: runs beside each other.
        dry_run: check every run and show the plan instead.
        console: where progress goes.

    Raises:
        ValueError: for a comparison that cannot be.
        Failure: naming what failed, after all else was done.
        OSError: where another comparison works in the folder.
    """
    console = console or Console()
    whole = load_comparison(path)
    comparison = whole.narrowed(only, tasks)
    check(whole)
    if dry_run:
        _show_plan(comparison, console)
        return
    at_a_time = at_a_time or cores()
    with Lock(whole.folder / "compare.lock", f"comparing into {whole.folder}"):
        console.print(
            f"{comparison.name}: {at_a_time} at a time, in {comparison.folder} (what each says: "
            f"{comparison.log('*')})",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        with _Told(console) as told:
            failed = run_missing(comparison, at_a_time, told, console.print)
        for name, why in failed.items():
            console.print(f"[red]{escape(name)}[/]: {escape(why)}", soft_wrap=True)
        _write(whole, console)
    if failed:
        raise Failure(f"{len(failed)} of the steps failed; the same command tries them again.")


class _Told:
    """Says of each job that it is over, once; on a terminal, what each that runs said last."""

    def __init__(self, console: Console) -> None:
        self.console, self.names, self.began = console, set[str](), time.monotonic()
        self.status = console.status("starting ...") if console.is_terminal else None

    def __enter__(self) -> "_Told":
        if self.status is not None:
            self.status.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.status is not None:
            self.status.stop()

    def __call__(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.code is not None and job.name not in self.names:
                self.names.add(job.name)
                elapsed = duration(time.monotonic() - self.began)
                self.console.print(
                    f"[{len(self.names)}/{len(jobs)} so far, {elapsed}] {job.name} "
                    f"{'failed' if job.code else 'done'} in {duration(job.seconds)}",
                    soft_wrap=True,
                    highlight=False,
                    markup=False,
                )
        if self.status is not None:
            running = [f"{job.name}  {job.last_line}" for job in jobs if job.running]
            lines = Text("\n".join(running), no_wrap=True, overflow="ellipsis")
            self.status.update(lines if running else "writing ...")


def _show_plan(comparison: Comparison, console: Console) -> None:
    pairs = comparison.pairs
    seeds = sum(len(method.seed_list) for _, method in pairs)
    console.print(
        f"{comparison.name}: {len(pairs)} combinations of method and task resolve; "
        f"{len(sweep_runs(comparison))} runs choose learning rates, {seeds} runs are reported, in "
        f"{comparison.folder}",
        soft_wrap=True,
    )


def _write(comparison: Comparison, console: Console) -> None:
    for name in unfinished(comparison):
        console.print(f"{name} is not evaluated as it is asked for now; left out.", soft_wrap=True)
    path, table = comparison.folder / "results.json", comparison.folder / "table.md"
    results = results_of(comparison)
    write_results(results, path)
    write_atomically(table, markdown(results, rows(results), _machine()))
    _write_reports(comparison)
    page = write_comparison(path, comparison.folder / "comparison.html", _machine())
    console.print(f"Table: {table}", soft_wrap=True)
    console.print(f"Page: {page}", soft_wrap=True)


def _write_reports(comparison: Comparison) -> None:
    """A page for each run that has logged more than its page says."""
    for run in main_runs(comparison):
        metrics, page = run.folder.metrics, run.folder.path / "report.html"
        is_run = metrics.exists() and run.folder.config.exists()
        if is_run and not (page.exists() and page.stat().st_mtime >= metrics.stat().st_mtime):
            write_report([run.folder.path], page)


def _machine() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {cores()} cores, one thread a run, {gpu}, torch {torch.__version__}"
    )
