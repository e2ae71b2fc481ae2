"""`scgrpo train`."""

import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from scgrpo.cli.errors import INTERRUPTED
from scgrpo.cli.quiet import quiet
from scgrpo.mistakes import ConfigError, abbreviated, nearest, shown
from scgrpo.presets import load_preset
from scgrpo.runs.config_reader import Key, all_keys, load_run_config
from scgrpo.runs.run_config import RUN_DEFAULTS, RunConfig


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
            train(config, [display, interrupt], display.evaluating)
        finally:
            interrupt.restore()
    return interrupt.interrupted and not (folder / "model").exists()


def resume_command(arguments: Sequence[str], resume: str = "auto") -> str:
    """The command that goes on with a run started by these arguments and this `resume`."""
    return shlex.join(["scgrpo", *arguments, *([] if resume == "auto" else ["--resume", "auto"])])


def show_keys(pattern: str = "", console: Console | None = None) -> None:
    """Keys of a run, their types, defaults in a run and meaning: our own first, then TRL's.

    Args:
        pattern: only those whose name has it, or abbreviates to it, or whose help has a word that
            begins so; `-`, `_` and a space are the same.
        console: where they go.

    Raises:
        ConfigError: where no key has it.
    """
    wanted = _plain(pattern)
    keys = all_keys()
    meant = abbreviated(wanted, keys)
    begins = re.compile(rf"(?<![a-z0-9]){re.escape(wanted)}")
    found = [
        key
        for key in keys.values()
        if wanted in key.name or key.name in meant or begins.search(_plain(key.help))
    ]
    if not found:
        near = nearest(wanted, keys)
        cure = f"did you mean {near!r}?" if near else "`--list-keys` alone shows all of them."
        raise ConfigError(f"no key has {shown(pattern)} in its name or meaning; {cure}")
    console = console or Console(highlight=False)
    defaults = RUN_DEFAULTS | load_preset(RunConfig.preset)
    for title, names in _groups().items():
        own = [key for key in found if key.of_run == (names is None)]
        own = [key for key in own if names is None or key.name in names]
        if own:
            console.print(f"[bold]{title}[/]")
        for key in sorted(own, key=lambda key: key.name):
            default = key.default if key.of_run else defaults.get(key.name, key.default)
            console.print(
                f"[bold cyan]{key.name}[/]  {escape(_type_name(key))}  "
                f"[dim]default {escape(repr(default))}[/]"
            )
            console.print(Padding(Text(" ".join(key.help.split())), (0, 0, 0, 4)))


def _plain(text: str) -> str:
    return re.sub(r"[-\s]+", "_", text.strip().lower())


def _groups() -> dict[str, set[str] | None]:
    """Names of keys by who has them, in the order in which they are shown; None for a run's."""
    from trl import GRPOConfig

    from scgrpo.trainer.config import SCGRPOConfig

    every = {spec.name for spec in fields(SCGRPOConfig)}
    trl = {spec.name for spec in fields(GRPOConfig)}
    of_trl = trl & set(GRPOConfig.__annotations__)
    return {
        "Keys of a run": None,
        f"The method (defaults of {RunConfig.preset})": every - trl,
        "trl.GRPOConfig": of_trl,
        "transformers.TrainingArguments": trl - of_trl,
    }


def _type_name(key: Key) -> str:
    hint: Any = key.hint
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
