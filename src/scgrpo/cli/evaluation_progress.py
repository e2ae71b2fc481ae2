"""How far an evaluation is: a bar on a terminal, a line every half minute elsewhere."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from scgrpo.cli.progress_text import duration
from scgrpo.evaluation.records import Record

LINE_SECONDS = 30.0


class EvaluationProgress:
    """Samples done, their rate and the time left; use as a context manager.

    Rate and time left count what this process draws: samples that were there already took no time.

    Args:
        console: where to show.
        clock: seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.began = self.shown_at = clock()
        self.drawn = self.tokens = 0
        self.bar: Progress | None = None

    def __enter__(self) -> "EvaluationProgress":
        if self.console.is_terminal:
            columns = (
                TextColumn("sampling"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.task = self.bar.add_task("", total=None, rate="")
            self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

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

    def update(self, done: int, total: int) -> None:
        """Show where it stands."""
        now = self.clock()
        text = self._rate(now - self.began, total - done)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, rate=text)
        elif now - self.shown_at >= LINE_SECONDS:
            self.shown_at = now
            self.console.print(f"{done}/{total} samples  {text}", highlight=False, soft_wrap=True)

    def _rate(self, seconds: float, left: int) -> str:
        if not self.drawn or seconds <= 0:
            return ""
        rate = self.drawn / seconds
        samples = f"{rate:{'.2f' if rate < 10 else ',.0f'}} samples/s"
        tokens = f"{self.tokens / seconds:,.0f} tokens/s"
        return f"{samples}  {tokens}  {duration(left / rate)} left"
