"""Seconds of the phases of a step."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager


class PhaseTimes:
    """Adds up the seconds of named phases until they are logged."""

    def __init__(self, *phases: str) -> None:
        self.seconds = dict.fromkeys(phases, 0.0)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - start

    def flush(self, passes: MutableMapping[str, float]) -> dict[str, float]:
        """What is logged of the steps since the last flush; all times start again at 0.

        Args:
            passes: seconds of the passes of teacher and student, reset in place.
        """
        update = self.seconds["update"] - self.seconds["prepare"]
        times = {"generate": self.seconds["generate"], **passes, "update": update}
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        for name in passes:
            passes[name] = 0.0
        return {f"time/{name}": seconds for name, seconds in times.items()}
