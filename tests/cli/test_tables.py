"""However narrow a terminal is, names and numbers of a table stay whole."""

import io

import pytest
from rich.console import Console
from rich.table import Column, Table
from typer.testing import CliRunner

from scgrpo.cli.main import app
from scgrpo.cli.progress_text import panel
from scgrpo.cli.tables import footnotes, print_table
from scgrpo.presets import PRESETS
from scgrpo.tasks import available_tasks

WIDTHS = [200, 80, 60, 40]
NAMES = ["a-run-with-quite-a-long-name, step 1200", "another-run-of-the-same-kind, step 1200"]
INTERVAL = "+0.035 [-0.010, +0.081]"


def printed(thing, width):
    console = Console(width=width, file=io.StringIO())
    print_table(console, thing) if isinstance(thing, Table) else console.print(thing)
    return console.file.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_of_numbers(width):
    table = Table("measure", *NAMES, "difference [95 %]", title="held out")
    table.add_row("Avg@k", "0.412", "0.447", f"[bold]{INTERVAL}[/]")
    text = printed(table, width)
    assert all(whole in text for whole in ("Avg@k", "0.412", "0.447", *NAMES)), text
    assert INTERVAL in text and "…" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_prose_wraps_at_words_beside_or_below_names(width):
    table = Table("task", "evaluates", Column("where", overflow="fold"))
    table.add_row(
        "code-contests-of-all", "test_normal\ntest_challenge", "a hub id and a reason " * 4
    )
    text = printed(table, width)
    for whole in ("code-contests-of-all", "test_normal", "test_challenge"):
        assert whole in text
    assert text.split().count("reason") == 4 and "…" not in text
    if width == 60:
        first, *_ = (line for line in text.splitlines() if "code-contests" in line)
        below = text.splitlines()[text.splitlines().index(first) + 1]
        assert below.index("test_challenge") == first.index("test_normal")


@pytest.mark.parametrize("width", ["80", "60"])
def test_lists_name_all_that_there_is(width):
    for command, names in (("tasks", available_tasks()), ("presets", PRESETS)):
        done = CliRunner().invoke(app, [command], env={"COLUMNS": width})
        assert done.exit_code == 0 and "…" not in done.output
        assert set(names) <= set(done.output.replace("│", " ").split())


@pytest.mark.parametrize("width", WIDTHS)
def test_the_progress_of_a_run(width):
    shown = {
        "step": "10/1000", "reward": "0.123", "length": "1234", "clipped": "12%", "Avg@8": "0.5",
        "routes": "partial 50% none 25% plain 25%", "c": "0.0012", "tokens/s": "12,345",
        "left": "10:00:00",
    }  # fmt: skip
    text = printed(panel("sc-grpo-a-name-of-a-run-s0", shown, 0.5), width)
    assert all(whole in text for whole in (*shown, *shown.values(), "sc-grpo-a-name-of-a-run-s0"))
    assert max(map(len, text.splitlines())) <= width


def test_equal_details_are_one_footnote():
    assert footnotes(["x", "", "y", "x", "", "z", "z"]) == (
        ["[1]", "", "y", "[1]", "", "[2]", "[2]"],
        ["[1] x", "[2] z"],
    )
