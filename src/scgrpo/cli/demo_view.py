"""What the demo shows: how far its runs are, and how they ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from scgrpo.cli.progress_text import AVERAGE, duration
from scgrpo.cli.tables import with_interval
from scgrpo.evaluation.compare import Difference, Summary
from scgrpo.files import read_jsonl

WINDOW = 10
"""Steps over which the shown reward is averaged."""


class RunView:
    """How far one run is, read from its `metrics.jsonl`.

    Args:
        name: what the run is called here.
        folder: its run folder, which need not exist yet.
        steps: optimizer steps that it will make.
    """

    def __init__(self, name: str, folder: Path, steps: int) -> None:
        self.name, self.metrics, self.steps = name, folder / "metrics.jsonl", steps
        self.rows: list[dict[str, Any]] = []
        self._told = 0
        self._before: int | None = None

    def read(self) -> list[str]:
        """Look again; lines that say what is new, one for each tenth of the run."""
        self.rows = [row for row in read_jsonl(self.metrics) if "step" in row]
        if self._before is None:
            self._before = len(self.rows)
        tenth = self.step * 10 // self.steps
        if tenth <= self._told:
            return []
        self._told = tenth
        labels = ("step", "reward", "Avg@8", "left")
        facts = [f"{k} {v}" for k, v in zip(labels, self._facts(), strict=True) if v]
        return [f"{self.name:<8} {'  '.join(facts)}"]

    def cells(self) -> list[Any]:
        """The row of a table."""
        bar = ProgressBar(total=self.steps, completed=self.step)
        return [Text(self.name, style="bold"), bar, *self._facts()]

    @property
    def step(self) -> int:
        return int(self.rows[-1]["step"]) if self.rows else 0

    def _facts(self) -> tuple[str, str, str, str]:
        rewards = [r["reward"] for r in self.rows[-WINDOW:] if r.get("reward") is not None]
        reward = f"{sum(rewards) / len(rewards):.3f}" if rewards else ""
        averages = [v for r in self.rows for k, v in r.items() if AVERAGE.fullmatch(k)]
        average = f"{averages[-1]:.3f}" if averages and averages[-1] is not None else ""
        return f"{self.step}/{self.steps}", reward, average, self._left()

    def _left(self) -> str:
        if self.step >= self.steps:
            return "0:00"
        if not self.rows:
            return "starting"
        times = [row["time"] for row in self.rows[self._before :] if "time" in row]
        if len(times) < 2:
            return ""
        return duration((times[-1] - times[0]) / (len(times) - 1) * (self.steps - self.step))


def result_table(summaries: Mapping[str, Summary], steps: int, seed: int) -> Table:
    """Held-out results, one row a model."""
    some = next(iter(summaries.values()))
    table = Table(
        "model", f"Avg@{some.k} [95 %]", f"Pass@{some.k} [95 %]",
        title=f"Held-out: {some.problems} problems, {steps} steps, seed {seed}",
    )  # fmt: skip
    for name, summary in summaries.items():
        table.add_row(f"[bold]{name}[/]", with_interval(summary.avg), with_interval(summary.passed))
    return table


def difference_line(label: str, result: Difference) -> str:
    """The paired difference in words."""
    low, high = result.difference.low, result.difference.high
    verdict = "beyond chance on these problems" if low > 0 or high < 0 else "within chance"
    return (
        f"sc-grpo - grpo, {label}: {with_interval(result.difference, '+.3f')} "
        f"(paired over {result.problems} problems; {verdict}, one seed)"
    )
