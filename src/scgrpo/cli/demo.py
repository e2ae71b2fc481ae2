"""`scgrpo demo`: GRPO and SC-GRPO from the same base at equal steps, compared on held-out tasks."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from scgrpo.cli.demo_view import RunView, difference_line, result_table
from scgrpo.cli.errors import Failure
from scgrpo.cli.tables import print_table
from scgrpo.evaluation.compare import Summary, paired_difference, summarise
from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import read_records
from scgrpo.jobs import Job, cores, run_jobs
from scgrpo.locks import Lock
from scgrpo.mistakes import ConfigError

METHODS = ("grpo", "sc-grpo")
STEPS = 200
K = 8
HELD_OUT_PROBLEMS = 256
SETTINGS: dict[str, Any] = {
    "task": "synthetic",
    "model": "tiny",
    "eval_problems": 32,
    "eval_k": K,
}


def run_demo(
    *, steps: int | None, seed: int, output: Path, console: Console | None = None
) -> dict[str, Summary]:
    """Train both, evaluate both and the base, show and keep the result.

    Args:
        steps: optimizer steps of each; `STEPS` by default.
        seed: seed of both runs and of the evaluation.
        output: folder for the runs, their configs, samples, and the report.
        console: where to show.

    Returns:
        Held-out summaries of `base` and of each method.

    Raises:
        ConfigError: if the folder holds a demo with other options.
        Failure: if a run fails.
        OSError: if another demo works in the folder.
    """
    console = console or Console()
    with Lock(output / "demo.lock", f"running the demo in {output}"):
        return _run_demo(steps or STEPS, seed, output, console)


def _run_demo(steps: int, seed: int, output: Path, console: Console) -> dict[str, Summary]:
    started = time.monotonic()
    configs = {name: run_config(name, steps, seed, output) for name in METHODS}
    _write_configs(configs, output)
    console.print(
        f"Training {' and '.join(METHODS)} for {steps} steps each, "
        f"{min(cores(), len(METHODS))} at a time; results go to {output}",
        soft_wrap=True,
    )
    _train(steps, output, console)
    names = ("base", *METHODS)
    records = {name: output / "heldout" / f"{name}.jsonl" for name in names}
    _evaluate(records, seed, output, console)
    summaries = {name: summarise(read_records(path)) for name, path in records.items()}
    print_table(console, result_table(summaries, steps, seed))
    for label, statistic in ((f"Avg@{K}", avg_at_k), (f"Pass@{K}", pass_at_k)):
        first, second = (read_records(records[name]) for name in METHODS)
        line = difference_line(label, paired_difference(first, second, statistic))
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    seconds = time.monotonic() - started
    _write_results(summaries, steps, seed, seconds, output)
    _report(output, console)
    console.print(f"{seconds / 60:.1f} minutes on {cores()} cores", style="dim")
    return summaries


def run_config(name: str, steps: int, seed: int, output: Path) -> dict[str, Any]:
    """Keys of one of the two runs, which differ in their preset alone."""
    return SETTINGS | {
        "preset": name,
        "name": name,
        "output_dir": str(output),
        "seed": seed,
        "max_steps": steps,
        "eval_steps": max(steps // 8, 1),
        "rollout_steps": max(steps // 8, 1),
        "save_steps": max(steps // 8, 1),
    }


def _write_configs(configs: dict[str, dict[str, Any]], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name, config in configs.items():
        path = output / f"{name}.yaml"
        text = yaml.safe_dump(config, sort_keys=False)
        if path.exists() and path.read_text() != text:
            raise ConfigError(
                f"{output} holds a demo with other options (see {path}); give the same options to "
                "go on with it, choose another --output, or remove the folder."
            )
        path.write_text(text)


def _train(steps: int, output: Path, console: Console) -> None:
    views = {name: RunView(name, output / name, steps) for name in METHODS}
    jobs = [
        Job(f"training {name}", ["train", "--config", str(output / f"{name}.yaml")],
            output / "logs" / f"{name}.log")
        for name in METHODS
        if not (output / name / "model" / "config.json").is_file()
    ]  # fmt: skip
    with Live(console=console) if console.is_terminal else nullcontext() as live:

        def tick() -> None:
            lines = [text for view in views.values() for text in view.read()]
            if live is not None:
                live.update(_progress_table(list(views.values())))
            else:
                for text in lines:
                    console.print(text, soft_wrap=True, highlight=False)

        run_or_fail(jobs, tick, console.print)
        tick()


def run_or_fail(
    jobs: Sequence[Job],
    tick: Callable[[], None],
    announce: Callable[[str], None] = print,
    poll: float = 0.3,
) -> None:
    """Run jobs as `run_jobs` does, `tick` after each look.

    Raises:
        Failure: with the command's own words when one fails; the others are ended.
    """

    def look(jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.code:
                raise Failure(f"{job.name} failed: {job.words}")
        tick()

    run_jobs(jobs, look, announce, poll=poll)


def _progress_table(views: list[RunView]) -> Table:
    names = [Column(name, no_wrap=True) for name in ("method", "step", "reward", "Avg@8", "left")]
    table = Table(names[0], Column(max_width=30), *names[1:])
    for view in views:
        table.add_row(*view.cells())
    return table


def _evaluate(records: dict[str, Path], seed: int, output: Path, console: Console) -> None:
    models = {"base": str(SETTINGS["model"])} | {name: str(output / name) for name in METHODS}
    jobs = [
        Job(
            f"evaluating {name}",
            [
                *("evaluate", models[name], "--task", str(SETTINGS["task"]), "-k", str(K)),
                *("--limit", str(HELD_OUT_PROBLEMS), "--seed", str(seed), "--output", str(path)),
            ],
            output / "logs" / f"evaluate-{name}.log",
        )
        for name, path in records.items()
        if not path.exists()
    ]
    message = f"evaluating base, {', '.join(METHODS)} on {HELD_OUT_PROBLEMS} held-out problems ..."
    if console.is_terminal:
        with console.status(message):
            run_or_fail(jobs, lambda: None, console.print)
    else:
        console.print(message, soft_wrap=True)
        run_or_fail(jobs, lambda: None, console.print)


def _write_results(
    summaries: dict[str, Summary], steps: int, seed: int, seconds: float, output: Path
) -> None:
    results = {
        "steps": steps,
        "seed": seed,
        "seconds": round(seconds, 1),
        "heldout": {name: asdict(summary) for name, summary in summaries.items()},
    }
    (output / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def _report(output: Path, console: Console) -> None:
    from scgrpo.cli.report import write

    page = write([output / name for name in METHODS], output / "report.html")
    console.print(f"Where the credit went, token by token: [bold]{page}[/]", soft_wrap=True)
