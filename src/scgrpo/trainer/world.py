"""The processes of an accelerate launch, as the parts of the method ask them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from scgrpo.world import OneProcess, World


@dataclass(frozen=True)
class Accelerated:
    """A `World` of several processes."""

    accelerator: Accelerator

    @property
    def process_index(self) -> int:
        return int(self.accelerator.process_index)

    @property
    def num_processes(self) -> int:
        return int(self.accelerator.num_processes)

    @property
    def device(self) -> torch.device:
        return self.accelerator.device

    def gather(self, values: Tensor) -> Tensor:
        gathered: Tensor = self.accelerator.gather(values)
        return gathered

    def gather_objects(self, items: Sequence[Any]) -> list[Any]:
        return list(gather_object(list(items)))

    def sum(self, values: Tensor) -> Tensor:
        total: Tensor = self.accelerator.reduce(values, reduction="sum")
        return total

    def largest(self, count: int) -> int:
        return int(self.gather(torch.tensor([count], device=self.device)).max())


def world_of(accelerator: Accelerator) -> World:
    """The processes of an accelerator."""
    if accelerator.num_processes == 1:
        return OneProcess(accelerator.device)
    return Accelerated(accelerator)
