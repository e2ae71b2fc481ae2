"""`scgrpo presets`."""

import inspect

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from scgrpo.cli.tables import print_table
from scgrpo.presets import PRESETS

_CHOICES = ("advantage", "teacher", "use")


def show_presets(console: Console | None = None) -> None:
    """One row a preset: its three choices and what it is."""
    table = Table(*("preset", *_CHOICES), Column("what it is", overflow="fold"), title="Presets")
    for name, preset in PRESETS.items():
        values = preset()
        choices = [str(values[key]) for key in _CHOICES]
        summary = (inspect.getdoc(preset) or "").partition("\n\n")[0].replace("\n", " ")
        table.add_row(f"[bold]{name}[/]", *choices, escape(summary))
    console = console or Console()
    print_table(console, table)
    console.print("Use one: scgrpo train --preset sc-grpo", style="dim")
