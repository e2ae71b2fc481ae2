"""`scgrpo build-base`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scgrpo.cli.quiet import quiet
from scgrpo.mistakes import ConfigError
from scgrpo.runs.config_reader import read_mapping


def run_build(
    output: Path,
    subject: str,
    steps: int | None,
    seed: int,
    width: int,
    layers: int,
    task_options: str,
    corpus_options: str,
    console: Console | None = None,
) -> None:
    """Train the base model of a task and show how far it is.

    Raises:
        ConfigError: for a task without a corpus, or an option of task or corpus that is unknown.
    """
    console = console or Console()
    quiet()
    from scgrpo.embedded.base_model import SUBJECTS, build_base

    if subject not in SUBJECTS:
        raise ConfigError(
            f"--task is {subject!r}; a base can be built for {' or '.join(SUBJECTS)}."
        )
    if width % 8:
        raise ConfigError(f"--width is {width}; it must be a multiple of 8 (4 heads of even size).")
    total = steps or SUBJECTS[subject].steps
    task = _options(SUBJECTS[subject].options, "task-options", task_options)
    corpus = _options(SUBJECTS[subject].corpus, "corpus-options", corpus_options)
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as display:
        bar = display.add_task("training", total=total, loss=float("nan"))

        def progress(done: int, steps: int, loss: float) -> None:
            display.update(bar, completed=done, loss=loss)
            if not console.is_terminal and done * 10 // steps > (done - 1) * 10 // steps:
                console.print(f"step {done}/{steps}  loss {loss:.3f}", highlight=False)

        build_base(
            output,
            task,
            corpus,
            task=subject,
            steps=total,
            seed=seed,
            width=width,
            layers=layers,
            progress=progress,
        )
    console.print(f"Base model: {output}", soft_wrap=True)


def _options(kind: type, option: str, text: str) -> Any:
    values = read_mapping(option, text)
    try:
        return kind(**values)
    except TypeError:
        raise ConfigError(
            f"--{option} is {text!r}; it may set {', '.join(f.name for f in fields(kind))}."
        ) from None
