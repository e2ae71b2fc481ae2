"""`scgrpo tasks`: what can be trained and evaluated on, and whether verifiers can be trusted."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from scgrpo.cli.quiet import quiet
from scgrpo.cli.tables import footnotes, print_table
from scgrpo.extras import MissingExtra
from scgrpo.files import write_atomically
from scgrpo.mistakes import ConfigError, shown
from scgrpo.runs.config_reader import read_mapping
from scgrpo.tasks import available_tasks, load_task
from scgrpo.tasks.base import Task, Validation

COLOURS = {"present": "green", "downloadable": "cyan", "missing": "yellow", "broken": "red"}
SHOWN = 20
"""Disagreements that are printed."""


@dataclass(frozen=True)
class Line:
    """What is known of one task."""

    name: str
    family: str = ""
    training: str = ""
    evaluation: str = ""
    state: str = "broken"
    detail: str = ""


def show_tasks(console: Console | None = None) -> None:
    """One row a task, with those of other installed packages."""
    table = Table(
        *("task", "family", "trains", "evaluates", "data"),
        Column("where, or how to get it", overflow="fold"),
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    lines = [describe(name) for name in available_tasks()]
    details, notes = footnotes([line.detail for line in lines])
    for line, detail in zip(lines, details, strict=True):
        state = f"[{COLOURS[line.state]}]{line.state}[/]"
        texts = (line.name, line.family, line.training, line.evaluation)
        table.add_row(*map(escape, texts), state, escape(detail))
    console = console or Console()
    print_table(console, table)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)
    console.print(
        "Use one: scgrpo train --task NAME, scgrpo evaluate MODEL --task NAME",
        style="dim",
        soft_wrap=True,
    )


def describe(name: str) -> Line:
    """A task's line; a task that cannot be loaded says why."""
    try:
        task = load_task(name)
        states = {split: task.data_state(split) for split in task.splits}
    except MissingExtra as error:
        return Line(name, state="missing", detail=str(error))
    except Exception as error:  # tasks are plug-ins, which may fail in any way
        return Line(name, detail=f"{type(error).__name__}: {error}")
    details: dict[str, list[str]] = {}
    for split, state in states.items():
        details.setdefault(state.detail, []).append(split)
    worst = max((state.state for state in states.values()), key=list(COLOURS).index)
    return Line(
        task.name,
        task.family,
        task.training_split or "-",
        "\n".join(task.evaluation_splits) or "-",
        worst,
        "; ".join(
            detail if len(details) == 1 else f"{', '.join(splits)}: {detail}"
            for detail, splits in details.items()
        ),
    )


def run_validation(
    name: str,
    options: str = "{}",
    split: str | None = None,
    limit: int | None = None,
    console: Console | None = None,
) -> bool:
    """Validate a task's verifier and show the numbers.

    Returns:
        Whether it erred nowhere.

    Raises:
        ValueError: for an unknown task or split, or data that cannot be had.
    """
    console = console or Console()
    quiet()
    from scgrpo.evaluation.prepare import find_task

    task: Task = find_task(name, read_mapping("task-options", options))
    result = task.validate(split, limit)
    if not isinstance(result, Validation):
        raise ConfigError(
            f"validate of task {name!r} returned {shown(result)}; return what "
            "scgrpo.tasks.base.verified does (scgrpo tasks --new FILE.py writes an example)."
        )
    print_table(console, validation_table(name, result))
    if task.failures:
        kinds = ", ".join(f"{kind} {count}" for kind, count in task.failures.items())
        console.print(f"The verifier itself failed, which counts as refused: {kinds}")
    for case in result.disagreements[:SHOWN]:
        console.print(
            f"{case.problem_id}: reward {case.reward:g}, expected {case.expected:g}: "
            f"{case.answer[:200]!r}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if len(result.disagreements) > SHOWN:
        console.print(f"... and {len(result.disagreements) - SHOWN} more")
    return result.ok


def write_template(path: Path, console: Console | None = None) -> None:
    """Write a task to begin with.

    Raises:
        ConfigError: where there is something already, or for a name that is none of a module.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already; give another name.")
    if path.suffix != ".py":
        raise ConfigError(f"{path} is no Python file; write its name with .py.")
    from scgrpo.tasks import template

    text = Path(template.__file__).read_text(encoding="utf-8").replace("FILE.py", str(path))
    write_atomically(path, text)
    console = console or Console()
    console.print(f"Written: {path}. Prove its verifier:", soft_wrap=True, highlight=False)
    command = shlex.join(["scgrpo", "tasks", "--validate", f"{path}:Words"])
    console.print(f"  {command}", soft_wrap=True, style="bold", highlight=False)


def validation_table(name: str, result: Validation) -> Table:
    """The numbers of one validation."""
    missed = sum(case.expected > 0 for case in result.disagreements)
    fooled = len(result.disagreements) - missed
    table = Table("answers", "verified", "as it should be", "disagreements", title=name)
    table.add_row(
        f"right, of {result.rows} rows",
        str(result.gold),
        f"{result.gold - missed} accepted",
        str(missed),
    )
    table.add_row("wrong", str(result.damaged), f"{result.damaged - fooled} refused", str(fooled))
    return table
