"""The order of the data, the same after a resume."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler


class ResumableRepeatSampler(RepeatSampler):
    """TRL's `RepeatSampler` whose permutation belongs to the epoch, not to the process's age.

    TRL draws each epoch's permutation from one generator; after a resume in the second epoch the
    first permutation would come again. The permutations are TRL's own.
    """

    current_epoch: Callable[[], int]

    @classmethod
    def of(cls, sampler: Sampler, current_epoch: Callable[[], int]) -> "ResumableRepeatSampler":
        """The same order as `sampler`, for the epoch that `current_epoch` says at each start."""
        resumable = cls.__new__(cls)
        resumable.__dict__ |= vars(sampler)
        resumable.current_epoch = current_epoch
        return resumable

    def __iter__(self) -> Iterator[Any]:
        if self.shuffle:
            self.generator.manual_seed(self.seed)
            for _ in range(self.current_epoch()):
                torch.randperm(self.num_samples, generator=self.generator)
        return super().__iter__()
