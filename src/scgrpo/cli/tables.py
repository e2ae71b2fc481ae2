"""Small tables on the terminal, of which nothing is cut however narrow it is."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from scgrpo.evaluation.compare import Estimate

LEAST = 24
"""Columns that prose needs beside names."""
GAP = 2


def print_table(console: Console, table: Table) -> None:
    """Print a table; where it is too wide, its prose below each row, or each cell on its own line.

    Columns with `overflow="fold"` are prose and wrap; all others are names and numbers, which stay
    whole.

    Args:
        console: where it goes.
        table: its cells are texts with markup.
    """
    names = [column for column in table.columns if column.overflow != "fold"]
    prose = [column for column in table.columns if column.overflow == "fold"]
    for column in names:
        column.no_wrap = True
    spare = sum(max(_width(console, column) - LEAST, 0) for column in prose)
    if Measurement.get(console, _wide(console), table).maximum - spare <= console.width:
        console.print(table)
        return
    widths = [_width(console, column) for column in names]
    fits = sum(widths) + GAP * (len(names) - 1) <= console.width
    if table.title:
        console.print(table.title, style="italic", soft_wrap=True)
    if fits:
        console.print(_beside([c.header for c in names], widths), style="bold", soft_wrap=True)
    for row in range(table.row_count):
        cells = [str(list(column.cells)[row]) for column in names]
        if fits:
            console.print(_beside(cells, widths), soft_wrap=True, highlight=False)
        else:
            _print_below(console, [str(column.header) for column in names], cells)
        for column in prose:
            console.print(Padding(str(list(column.cells)[row]), (0, 0, 0, 4)), highlight=False)


def _print_below(console: Console, heads: Sequence[str], cells: Sequence[str]) -> None:
    """A row's first cell, and the others each on a line of its own, with what it is."""
    console.print(cells[0], style="bold", soft_wrap=True, highlight=False)
    for head, cell in zip(heads[1:], cells[1:], strict=True):
        line = f"    [dim]{head}[/] " + cell.replace("\n", ", ")
        console.print(line, soft_wrap=True, highlight=False)


def _beside(cells: Sequence[Any], widths: Sequence[int]) -> Text:
    """Cells beside each other, of several lines where one has several."""
    columns = [Text.from_markup(str(cell)).split("\n") for cell in cells]
    lines = []
    for parts in zip_longest(*columns):
        line = Text()
        for part, width in zip(parts, widths, strict=True):
            cell = part or Text()
            line.append_text(cell).append(" " * (width - cell.cell_len + GAP))
        line.rstrip()
        lines.append(line)
    return Text("\n").join(lines)


def _width(console: Console, column: Column) -> int:
    """Columns that its widest cell fills."""
    cells = [str(column.header), *map(str, column.cells)]
    return max(Measurement.get(console, _wide(console), cell).maximum for cell in cells)


def _wide(console: Console) -> ConsoleOptions:
    return console.options.update(max_width=10_000)


def footnotes(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """The texts, each that is there more than once as a number, and what the numbers say."""
    often = [text for text, count in Counter(texts).items() if text and count > 1]
    numbers = {text: f"[{number}]" for number, text in enumerate(often, start=1)}
    return [numbers.get(text, text) for text in texts], [f"{numbers[x]} {x}" for x in often]


def with_interval(estimate: "Estimate", form: str = ".3f") -> str:
    """`0.412 [0.380, 0.441]`."""
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
