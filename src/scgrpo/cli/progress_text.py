"""What progress looks like: facts of a step, as text, on one line, or as a panel."""

import re
from collections.abc import Mapping
from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

ROUTES = ("partial", "none", "plain")
AVERAGE = re.compile(r"eval/(?!ood/).+/avg@(\d+)")


def facts(
    logs: Mapping[str, Any],
    step: int,
    max_steps: int,
    average: tuple[str, float] | None = None,
    tokens_per_second: float | None = None,
    seconds_left: float | None = None,
) -> dict[str, str]:
    """What is shown of one step, by label; what the method or the step lacks is left out.

    Args:
        logs: logged numbers of the step, named as in `metrics.jsonl`.
        step: steps done.
        max_steps: steps in all.
        average: k and Avg@k of the last evaluation.
        tokens_per_second: prompt and completion tokens since the last log.
        seconds_left: until the last step.
    """
    shares = [(route, logs.get(f"credit/route_{route}")) for route in ROUTES]
    routes = " ".join(f"{route} {share:.0%}" for route, share in shares if share is not None)
    c = logs.get("credit/threshold_c")
    found = {
        "step": f"{step}/{max_steps}",
        "reward": _number(logs.get("reward"), ".3f"),
        "length": _number(logs.get("completions/mean_length"), ".0f"),
        "clipped": _number(logs.get("completions/clipped_ratio"), ".0%"),
        f"Avg@{average[0]}" if average else "Avg@k": _number(average and average[1], ".3f"),
        "routes": routes,
        "c": _number(c, ".2g"),
        "tokens/s": _number(tokens_per_second, ",.0f"),
        "left": duration(seconds_left) if seconds_left is not None else "",
    }
    return {label: text for label, text in found.items() if text}


def _number(value: Any, form: str) -> str:
    return "" if value is None or value != value else format(value, form)


def line(shown: Mapping[str, str]) -> str:
    """All facts on one line."""
    return "  ".join(f"{label} {text}" for label, text in shown.items())


def panel(title: str, shown: Mapping[str, str], share: float) -> Group:
    """All facts under a bar, for a terminal.

    Args:
        title: name of the run.
        shown: facts by label.
        share: part of the steps that is done, in [0, 1].
    """
    pairs = [Text.assemble((k, "dim"), "\n", (text, "bold")) for k, text in shown.items()]
    bar = Table.grid(Column(no_wrap=True), Column(max_width=48), padding=(0, 2, 0, 0))
    bar.add_row(Text(title, style="bold cyan"), ProgressBar(total=1, completed=share))
    return Group(bar, Columns(pairs, padding=(0, 3, 0, 0)))


def extent(problems: int, k: int) -> str:
    """What an evaluation draws: `8 problems x 1 sample`."""
    counts = ((problems, "problem"), (k, "sample"))
    return " x ".join(f"{count:,} {what}{'s' * (count != 1)}" for count, what in counts)


def duration(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
