"""Several processes as threads of one, for parts that ask a `World` and nothing else."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Meeting:
    """Where the threads put what they gather."""

    size: int
    barrier: threading.Barrier = field(init=False)
    brought: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=20)
        self.brought = [None] * self.size

    def exchange(self, place: int, value: Any) -> list[Any]:
        self.brought[place] = value
        self.barrier.wait()
        everything = list(self.brought)
        self.barrier.wait()
        return everything


@dataclass(frozen=True)
class Thread:
    """A `World` whose collectives refuse unequal shapes, as those of gloo do."""

    meeting: Meeting
    process_index: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def num_processes(self) -> int:
        return self.meeting.size

    def gather(self, values: Tensor) -> Tensor:
        found = self.meeting.exchange(self.process_index, values)
        assert len({(v.shape, v.dtype) for v in found}) == 1, [(v.shape, v.dtype) for v in found]
        return torch.cat([v.reshape(1) if v.dim() == 0 else v for v in found])

    def gather_objects(self, items: Any) -> list[Any]:
        return [item for part in self.meeting.exchange(self.process_index, items) for item in part]

    def sum(self, values: Tensor) -> Tensor:
        return torch.stack(self.meeting.exchange(self.process_index, values)).sum(0)

    def largest(self, count: int) -> int:
        return max(self.meeting.exchange(self.process_index, count))


def in_processes(size: int, run: Callable[[Thread], Any]) -> list[Any]:
    """What each of several processes returns, in their order."""
    meeting = Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(run, [Thread(meeting, place) for place in range(size)]))
