"""`scgrpo train`."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from scgrpo.cli.errors import INTERRUPTED
from scgrpo.cli.quiet import quiet
from scgrpo.runs.config_reader import Key, all_keys, load_run_config
from scgrpo.runs.run_config import RunConfig


def run_training(path: Path | None, overrides: Sequence[str]) -> None:
    """Train the run of a file and its overrides.

    Raises:
        ValueError: for a config, data or model that cannot work.
        typer.Exit: with 130 when it was interrupted and can go on.
    """
    console = Console()
    with console.status("loading ...") if console.is_terminal else nullcontext():
        quiet()
        config = load_run_config(path, overrides)
        from scgrpo.runs.run import run_folder
    folder = run_folder(config).path
    interrupted = _train(config, folder, console)
    if interrupted:
        console.print(f"Stopped; a checkpoint is in {folder / 'checkpoints'}. To go on:")
        console.print(
            f"  {resume_command(sys.argv[1:], config.resume)}", soft_wrap=True, style="bold"
        )
        raise typer.Exit(INTERRUPTED)
    console.print(f"Trained: {folder / 'model'}", soft_wrap=True)
    console.print(f"Look at it: scgrpo report {shlex.quote(str(folder))}", soft_wrap=True)


def _train(config: RunConfig, folder: Path, console: Console) -> bool:
    from scgrpo.cli.interrupt import InterruptCallback
    from scgrpo.cli.progress import ProgressDisplay
    from scgrpo.runs.run import train

    with ProgressDisplay(console, title=folder.name) as display:
        interrupt = InterruptCallback(announce=display.say)
        try:
            train(config, [display, interrupt])
        finally:
            interrupt.restore()
    return interrupt.interrupted and not (folder / "model").exists()


def resume_command(arguments: Sequence[str], resume: str = "auto") -> str:
    """The command that goes on with a run started by these arguments and this `resume`."""
    return shlex.join(["scgrpo", *arguments, *([] if resume == "auto" else ["--resume", "auto"])])


def show_keys() -> None:
    """Every key of a run, its type, default and meaning."""
    keys = sorted(all_keys().values(), key=lambda key: (not key.of_run, key.name))
    console = Console(highlight=False)
    for key in keys:
        console.print(
            f"[bold cyan]{key.name}[/]  {escape(_type_name(key))}  "
            f"[dim]default {escape(repr(key.default))}[/]"
        )
        console.print(Padding(Text(" ".join(key.help.split())), (0, 0, 0, 4)))


def _type_name(key: Key) -> str:
    hint: Any = key.hint
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
