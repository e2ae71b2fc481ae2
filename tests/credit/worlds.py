"""Several processes, played by threads: what a part of the method does when rollouts are shared."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Thread:
    """A `World` whose processes exchange through a list that they share."""

    process_index: int
    num_processes: int
    slots: list[Any]
    barrier: threading.Barrier
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def _exchanged(self, own):
        self.slots[self.process_index] = own
        self.barrier.wait(20)
        everyone = list(self.slots)
        self.barrier.wait(20)
        return everyone

    def gather(self, values):
        return torch.cat(self._exchanged(values))

    def gather_objects(self, items):
        return [item for items in self._exchanged(list(items)) for item in items]

    def sum(self, values):
        return sum(self._exchanged(values))

    def largest(self, count):
        return max(self._exchanged(count))


def in_processes(count: int, function: Callable[[Thread], Any]) -> list[Any]:
    """What the function returns in each of so many processes."""
    slots, barrier = [None] * count, threading.Barrier(count)
    worlds = [Thread(i, count, slots, barrier) for i in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, worlds))
