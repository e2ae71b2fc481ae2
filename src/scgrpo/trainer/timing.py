"""Seconds of the phases of a step, and memory."""

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch


class PhaseTimes:
    """Adds up the seconds of named phases until they are logged."""

    def __init__(self) -> None:
        self.seconds = {"generate": 0.0, "prepare": 0.0, "update": 0.0}

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - start

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add seconds that were measured elsewhere."""
        for phase, spent in seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + spent

    def flush(self) -> dict[str, float]:
        """What is logged of the time since the last flush; all phases start again at 0."""
        times = dict(self.seconds)
        times["update"] -= times.pop("prepare")
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        return {f"time/{name}": spent for name, spent in times.items()}


def peak_memory() -> float:
    """Peak memory of this process in GiB: the GPU's where there is one, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
