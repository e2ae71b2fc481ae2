"""Small tables on the terminal."""

import inspect
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scgrpo.presets import PRESETS

if TYPE_CHECKING:
    from scgrpo.evaluation.compare import Estimate


def show_presets(console: Console | None = None) -> None:
    """One row a preset: its three choices and what it is."""
    table = Table(title="Presets")
    for name in ("preset", *_CHOICES):
        table.add_column(name, no_wrap=True)
    table.add_column("what it is", overflow="fold", min_width=16)
    for name, preset in PRESETS.items():
        values = preset()
        choices = [str(values[key]) for key in _CHOICES]
        summary = (inspect.getdoc(preset) or "").partition("\n\n")[0].replace("\n", " ")
        table.add_row(f"[bold]{name}[/]", *choices, summary)
    console = console or Console()
    console.print(table)
    console.print("Use one: scgrpo train --preset sc-grpo", style="dim")


_CHOICES = ("advantage", "teacher", "use")


def with_interval(estimate: "Estimate", form: str = ".3f") -> str:
    """`0.412 [0.380, 0.441]`."""
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
