"""How far an evaluation is: a bar on a terminal, a line every half minute elsewhere."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from scgrpo.cli.progress_text import duration, extent
from scgrpo.evaluation.records import Record
from scgrpo.evaluation.run import Evaluation

LINE_SECONDS = 30.0


class EvaluationProgress:
    """What is drawn, samples done, their rate and the time left; use as a context manager.

    Rate and time left count what this process draws: samples that were there already took no time.

    Args:
        console: where to show.
        clock: seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.began = self.shown_at = clock()
        self.drawn = self.tokens = self.done = self.total = 0
        self.pace = ""
        self.bar: Progress | None = None

    def __enter__(self) -> "EvaluationProgress":
        if self.console.is_terminal:
            columns = (
                TextColumn("sampling"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[pace]}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=None, pace="")
            self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def announce(self, subject: str, evaluation: Evaluation) -> None:
        """Say what will be drawn, before the model is loaded."""
        total, left = len(evaluation.samples), len(evaluation.missing)
        there = f", of which {total - left:,} are there" if left < total else ""
        text = f"{subject}: {extent(len(evaluation.problems.ids), evaluation.k)}{there}"
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)
        self.done, self.total = total - left, total
        self._show("")

    def start(self) -> None:
        """Begin to count the time, now that the model is there."""
        self.began = self.shown_at = self.clock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.clock() - self.began

    def observe(self, records: Sequence[Record]) -> None:
        """Count new samples and their tokens."""
        self.drawn += len(records)
        self.tokens += sum(record["tokens"] or 0 for record in records)

    def token(self, place: int) -> None:
        """Show which token of its completions the batch has come to."""
        self._show(f"{self.pace}  token {place} of this batch".lstrip())

    def update(self, done: int, total: int) -> None:
        """Show where it stands."""
        self.done, self.total = done, total
        self.pace = self._rate(self.seconds, total - done)
        self._show(self.pace)

    def _show(self, pace: str) -> None:
        now = self.clock()
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, total=self.total, pace=pace)
        elif now - self.shown_at >= LINE_SECONDS:
            self.shown_at = now
            text = f"{self.done}/{self.total} samples  {pace}"
            self.console.print(text, highlight=False, soft_wrap=True)

    def _rate(self, seconds: float, left: int) -> str:
        if not self.drawn or seconds <= 0:
            return ""
        rate = self.drawn / seconds
        samples = f"{rate:{'.2f' if rate < 10 else ',.0f'}} samples/s"
        tokens = f"{self.tokens / seconds:,.0f} tokens/s"
        return f"{samples}  {tokens}  {duration(left / rate)} left"
