"""`scgrpo compare`: two evaluations, or a matrix of methods, seeds and tasks."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scgrpo.cli.compare_checks import check_commands
from scgrpo.cli.errors import Failure
from scgrpo.cli.jobs import Job, cores, run_all_jobs
from scgrpo.cli.progress_text import duration
from scgrpo.cli.quiet import quiet
from scgrpo.cli.tables import with_interval
from scgrpo.comparison.config import Comparison, load_comparison
from scgrpo.comparison.plan import (
    Step,
    TrainingRun,
    main_steps,
    model_steps,
    possible_rates,
    refuse_others,
    sweep_runs,
    sweep_steps,
)
from scgrpo.evaluation.compare import paired_difference
from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import Record, read_records
from scgrpo.locks import Lock
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
    quiet()
    whole = load_comparison(path)
    comparison = narrowed(whole, only, tasks)
    check_commands(whole)
    refuse_others(whole)
    if dry_run:
        _check_all(comparison, console)
        return
    with Lock(whole.folder / "compare.lock", f"comparing into {whole.folder}"):
        failed = _run_missing(comparison, at_a_time, console)
        for name, why in failed.items():
            console.print(f"[red]{escape(name)}[/]: {escape(why)}", soft_wrap=True)
        _write(whole, console)
    if failed:
        raise Failure(f"{len(failed)} of the steps failed; the same command tries them again.")


def narrowed(comparison: Comparison, only: Sequence[str], tasks: Sequence[str]) -> Comparison:
    """A comparison of some methods, with what they need, on some tasks.

    Raises:
        ConfigError: for a name that is none.
    """
    for what, wanted, known in (
        ("method", only, comparison.methods),
        ("task", tasks, comparison.tasks),
    ):
        for name in wanted:
            if name not in known:
                raise ConfigError(f"{what} {name!r} is none of {', '.join(known)}.")
    methods = comparison.methods
    if only:
        needed = {*only, comparison.baseline}
        needed |= {str(methods[name].learning_rate_of or name) for name in needed}
        methods = {name: row for name, row in methods.items() if name in needed}
    chosen = {name: row for name, row in comparison.tasks.items() if not tasks or name in tasks}
    levels = (comparison, *methods.values(), *chosen.values())
    used = {row.settings.get(key) for row in levels for key in ("model", "teacher_model")}
    used |= {row.model for row in chosen.values()}
    models = {name: options for name, options in comparison.models.items() if name in used}
    return replace(comparison, methods=methods, tasks=chosen, models=models)


def _run_missing(comparison: Comparison, at_a_time: int | None, console: Console) -> dict[str, str]:
    known: dict[str, tuple[Step, Job]] = {}
    noted: set[str] = set()

    def jobs_of(steps: Sequence[Step]) -> list[Job]:
        new = [step for step in steps if step.name not in known and not step.is_done()]
        names = {*known, *(step.name for step in new)}
        jobs = [
            Job(s.name, s.arguments, s.log, tuple(n for n in s.after if n in names), s.launcher)
            for s in new
        ]
        known.update((job.name, (step, job)) for step, job in zip(new, jobs, strict=True))
        return jobs

    def more(settled: set[str]) -> list[Job]:
        for name in settled.intersection(known) - noted:
            noted.add(name)
            _note(*known[name])
        return jobs_of(main_steps(comparison, settled))

    jobs = jobs_of([*model_steps(comparison), *sweep_steps(comparison)])
    jobs += more(set())
    told: set[str] = set()
    began = time.monotonic()

    def tick(everything: Sequence[Job]) -> None:
        for job in everything:
            if job.ended and job.name not in told:
                told.add(job.name)
                _tell(console, job, len(told), len(everything), time.monotonic() - began)

    console.print(f"{comparison.name}: {at_a_time or cores()} at a time, in {comparison.folder}")
    return run_all_jobs(jobs, tick, console.print, more=more, at_a_time=at_a_time)


def _note(step: Step, job: Job) -> None:
    well = job.process is not None and job.process.returncode == 0
    if well and step.asked is not None:
        step.asked.write_note()


def _tell(console: Console, job: Job, done: int, known: int, elapsed: float) -> None:
    failed = job.process is not None and job.process.returncode
    state = "failed" if failed else "done"
    console.print(
        f"[{done}/{known} so far, {duration(elapsed)}] {job.name} {state} in "
        f"{duration(job.seconds)}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _check_all(comparison: Comparison, console: Console) -> None:
    """Resolve every run down to its trainer arguments, without data or weights."""
    from scgrpo.comparison.dry import check_splits

    count = 0
    for task in comparison.tasks.values():
        check_splits(task)
        for method in filter(lambda row: row.is_run_on(task), comparison.methods.values()):
            rate = possible_rates(comparison, task, method)[0]
            run = TrainingRun(comparison, task, method, method.seed_list[0], rate)
            _check_one(run)
            count += 1
    sweeps = len(sweep_runs(comparison))
    seeds = sum(
        len(method.seed_list)
        for task in comparison.tasks.values()
        for method in comparison.methods.values()
        if method.is_run_on(task)
    )
    console.print(
        f"{comparison.name}: {count} combinations of method and task resolve; {sweeps} runs choose "
        f"learning rates, {seeds} runs are reported, in {comparison.folder}",
        soft_wrap=True,
    )


def _check_one(run: TrainingRun) -> None:
    from scgrpo.comparison.dry import check_run
    from scgrpo.runs.config_reader import load_run_config

    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(yaml.safe_dump(run.config))
        try:
            check_run(load_run_config(file))
        except ValueError as error:
            raise ConfigError(str(error).replace(str(file), f"run {run.name}")) from error


def _write(comparison: Comparison, console: Console) -> None:
    from scgrpo.comparison.results import read_results, rows, unfinished, write_results
    from scgrpo.comparison.table import markdown
    from scgrpo.files import write_atomically
    from scgrpo.reports.comparison import write_comparison

    for name in unfinished(comparison):
        console.print(f"{name} is not evaluated as it is asked for now; left out.", soft_wrap=True)
    path = write_results(comparison)
    results = read_results(path)
    table = rows(results)
    write_atomically(comparison.folder / "table.md", markdown(results, table, _machine()))
    page = write_comparison(path, comparison.folder / "comparison.html", _machine())
    console.print(f"Table: {comparison.folder / 'table.md'}", soft_wrap=True)
    console.print(f"Page: {page}", soft_wrap=True)


def _machine() -> str:
    import platform

    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.machine()}, {cores()} cores, one thread a run, {gpu}, torch {torch.__version__}"
    )


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
