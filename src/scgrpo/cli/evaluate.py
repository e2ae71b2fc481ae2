"""`scgrpo evaluate` and `scgrpo compare`."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from scgrpo.cli.config import read_mapping, require_known
from scgrpo.cli.errors import ConfigError
from scgrpo.cli.quiet import quiet
from scgrpo.cli.tables import with_interval
from scgrpo.evaluation.compare import Summary, paired_difference, summarise
from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.evaluation.records import Record, read_records

MAX_NEW_TOKENS = 1024


@dataclass(frozen=True)
class EvaluationRequest:
    """What is evaluated, as it was asked for on the command line."""

    model: str
    task: str
    task_options: str
    k: int
    split: str | None
    limit: int | None
    temperature: float
    max_new_tokens: int | None
    batch_tokens: int
    output: Path | None
    seed: int


def run_evaluation(request: EvaluationRequest, console: Console | None = None) -> Summary:
    """Evaluate and show the result.

    Raises:
        ValueError: for a model, task or file that cannot be used.
    """
    console = console or Console()
    quiet()
    task = find_task(request.task, request.task_options)
    request = replace(request, split=request.split or default_split(task))
    path = find_model(request.model)
    with console.status("loading the model ...") if console.is_terminal else nullcontext():
        model, tokenizer = _load(path)
    started = time.monotonic()
    records = _draw(request, task, model, tokenizer, console)
    summary = summarise(records)
    title = f"{request.model} on {request.task}, {request.split}"
    console.print(summary_table(title, summary, records, time.monotonic() - started))
    if request.output is not None:
        console.print(f"Samples: {request.output}", soft_wrap=True)
    return summary


def _draw(
    request: EvaluationRequest, task: Any, model: Any, tokenizer: Any, console: Console
) -> list[Record]:
    from scgrpo.evaluation.run import evaluate

    assert request.split is not None
    defaults = getattr(task, "trainer_defaults", {})
    columns = (TextColumn("sampling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:
        bar = p.add_task("sampling", total=None)
        return evaluate(
            model,
            tokenizer,
            task,
            k=request.k,
            split=request.split,
            limit=request.limit,
            temperature=request.temperature,
            max_new_tokens=request.max_new_tokens
            or defaults.get("max_completion_length", MAX_NEW_TOKENS),
            batch_tokens=request.batch_tokens,
            seed=request.seed,
            model_name=request.model,
            output=request.output,
            progress=lambda done, total: p.update(bar, completed=done, total=total),
        )


def summary_table(title: str, summary: Summary, records: Sequence[Record], seconds: float) -> Table:
    """The numbers of one evaluation."""
    table = Table("measure", "value", title=title)
    table.add_row(f"Avg@{summary.k} [95 %]", f"[bold]{with_interval(summary.avg)}[/]")
    table.add_row(f"Pass@{summary.k} [95 %]", f"[bold]{with_interval(summary.passed)}[/]")
    table.add_row("problems x samples", f"{summary.problems} x {summary.k}")
    mean_tokens = sum(record["tokens"] for record in records) / len(records)
    table.add_row("tokens a sample", f"{mean_tokens:.1f}")
    table.add_row("seconds", f"{seconds:.1f}")
    return table


def find_task(name: str, options: str = "{}") -> Any:
    """A task by its name, with options written as YAML.

    Raises:
        ConfigError: for an unknown name, with the nearest one, or options that are no mapping.
    """
    from scgrpo.tasks import available_tasks, load_task

    require_known("task", name, available_tasks())
    return load_task(name, **read_mapping("task-options", options))


def default_split(task: Any) -> str:
    """The split that a task is evaluated on."""
    splits: tuple[str, ...] = getattr(task, "evaluation_splits", ("heldout",))
    return splits[0]


def find_model(name: str) -> str:
    """The model that a name means: that of a run folder, else the name itself.

    Raises:
        ConfigError: for a folder without a model.
    """
    folder = Path(name)
    if not folder.is_dir():
        return name
    if any((folder / f).is_file() for f in ("config.json", "adapter_config.json")):
        return name
    if (folder / "model").is_dir():
        return str(folder / "model")
    from scgrpo.trainer.checkpoint import last_complete_checkpoint

    checkpoint = last_complete_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        raise ConfigError(
            f"{name} holds no model: no config.json, and no model or checkpoints of a run; give a "
            "model folder or a run folder."
        )
    return str(checkpoint)


def _load(path: str) -> tuple[Any, Any]:
    import torch

    from scgrpo.trainer.run import load_policy

    model, tokenizer = load_policy(path)
    if torch.cuda.is_available():
        model = model.to("cuda", torch.bfloat16)
    return model, tokenizer


def run_comparison(first: Path, second: Path, split: str, console: Console | None = None) -> None:
    """Show the paired difference of two record files.

    Raises:
        ValueError: for files without records of the split, or without a shared problem.
    """
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
    (console or Console()).print(table)
    (console or Console()).print(f"{result.problems} problems in both", style="dim")


def _of_split(path: Path, split: str) -> list[Record]:
    records = read_records(path)
    chosen = [record for record in records if record["split"] == split]
    if not chosen:
        there = ", ".join(sorted({str(record["split"]) for record in records})) or "none"
        raise ConfigError(f"{path} has no records of split {split!r} (it has: {there}).")
    return chosen
