"""The processes that train together, as far as the parts of the method need to know of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad


class World(Protocol):
    """What a process may ask of the others; all processes must ask alike, and in the same order."""

    @property
    def process_index(self) -> int: ...

    @property
    def num_processes(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def gather(self, values: Tensor) -> Tensor:
        """Tensors of one shape, concatenated in the order of the processes."""
        ...

    def gather_objects(self, items: Sequence[Any]) -> list[Any]:
        """Python objects of all processes, in the order of the processes."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Sum of tensors of one shape over the processes."""
        ...

    def largest(self, count: int) -> int:
        """Largest of the processes' counts."""
        ...


@dataclass(frozen=True)
class OneProcess:
    """A process that is alone."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    process_index: int = 0
    num_processes: int = 1

    def gather(self, values: Tensor) -> Tensor:
        return values

    def gather_objects(self, items: Sequence[Any]) -> list[Any]:
        return list(items)

    def sum(self, values: Tensor) -> Tensor:
        return values

    def largest(self, count: int) -> int:
        return count


class UnevenVectors:
    """Vectors of all processes, each of which holds another number of entries.

    Args:
        world: the processes.
        count: M, the entries of this process.
    """

    def __init__(self, world: World, count: int) -> None:
        self.world, self.count = world, count
        counts = world.gather(torch.tensor([count], device=world.device))
        self.counts: list[int] = counts.tolist()
        self.first = sum(self.counts[: world.process_index])

    def gather(self, values: Tensor) -> Tensor:
        """Entries `(M_all)` of all processes, in the order of the processes."""
        if self.world.num_processes == 1:
            return values
        padded = values.new_zeros(max(self.counts))
        padded[: self.count] = values
        rows = self.world.gather(padded).view(len(self.counts), -1)
        return torch.cat([row[:count] for row, count in zip(rows, self.counts, strict=True)])

    def mine(self, values: Tensor) -> Tensor:
        """The entries of this process among those of all."""
        return values[self.first : self.first + self.count]


def gather_padded(world: World, values: Tensor, *, left: bool = False) -> Tensor:
    """Rows `(B_all, T)` of matrices `(B, T)`, zeros added up to the longest T of all processes."""
    missing = world.largest(values.shape[1]) - values.shape[1]
    return world.gather(pad(values, (missing, 0) if left else (0, missing)))
