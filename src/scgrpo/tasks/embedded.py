"""What the tasks have in common that the package makes itself."""

from dataclasses import dataclass
from typing import Any

from scgrpo.tasks.base import Task

HELD_OUT_SHARE = 0.2
"""Share of all problems that belongs to the splits other than `train`."""

TINY_TRAINING: dict[str, Any] = {
    "num_generations": 8,
    "per_device_train_batch_size": 64,
    "learning_rate": 1e-4,
    "lr_scheduler_type": "constant_with_warmup",
    "warmup_steps": 10,
    "gradient_checkpointing": False,
    "max_grad_norm": 1.0,
}
"""SCGRPOConfig fields that suit the shipped bases on two cores."""


@dataclass(frozen=True)
class SplitSizes:
    """Rows of each split, and the seed from which they are drawn."""

    seed: int = 0
    """Seed of the rows."""
    train_size: int = 4096
    """Rows of the training split; fewer where there are not so many problems."""
    heldout_size: int = 512
    """Rows of the held-out split; its problems never occur in training."""
    validation_size: int = 128
    """Rows of the validation split: problems that neither training nor the held-out split has."""
    ood_size: int = 256
    """Rows of the out-of-distribution split, whose problems are longer than training ever shows.

    The base model's corpus never shows them either."""

    def __post_init__(self) -> None:
        for size in ("train_size", "heldout_size", "validation_size", "ood_size"):
            if getattr(self, size) < 1:
                raise ValueError(f"{size} is {getattr(self, size)}; it must be at least 1.")

    def size(self, split: str) -> int:
        """Rows of a split."""
        return int(getattr(self, f"{split}_size"))


class EmbeddedTask(Task):
    """A task with the splits of `SplitSizes`."""

    evaluation_splits = ("heldout", "ood")

    @property
    def splits(self) -> tuple[str, ...]:
        """All splits; learning rates are chosen on `validation`, which is not reported."""
        return (*super().splits, "validation")
