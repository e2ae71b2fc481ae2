"""TRL's aggregation of per-token losses, for terms that are added to its loss.

Shapes: B rollouts of a micro-batch, T tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from scgrpo.credit.use import Update
from scgrpo.method import sequence_mean, token_mean
from scgrpo.rollouts import Batch, written_tokens


@dataclass(frozen=True)
class Aggregation:
    """How a per-token loss becomes a scalar, gradient accumulation included."""

    loss_type: str
    """One of `AGGREGATIONS`."""
    steps_per_generation: int
    """Micro-batches of a generation batch."""
    max_completion_length: int
    """In tokens."""
    num_processes: int = 1

    def __call__(self, loss_BT: Tensor, micro_batch: Batch, update: Update) -> Tensor:
        """A per-token loss `(B, T)` as TRL aggregates its own."""
        return AGGREGATIONS[self.loss_type](self, loss_BT, micro_batch, update)


def _dapo(how: Aggregation, loss_BT: Tensor, micro_batch: Batch, update: Update) -> Tensor:
    # TRL counts the tokens of a generation batch of all processes, from which one accumulation
    # window takes its part; DDP averages over processes afterwards.
    window = update.accumulation_steps / how.steps_per_generation
    tokens = micro_batch["num_items_in_batch"].clamp(min=1) / how.num_processes
    return (loss_BT * written_tokens(micro_batch)).sum() / (tokens * window)


Reduce = Callable[[Aggregation, Tensor, Tensor], Tensor]
Aggregate = Callable[[Aggregation, Tensor, Batch, Update], Tensor]


def _per_step(reduce: Reduce) -> Aggregate:
    def aggregated(how: Aggregation, loss_BT: Tensor, micro_batch: Batch, update: Update) -> Tensor:
        return reduce(how, loss_BT, written_tokens(micro_batch)) / update.accumulation_steps

    return aggregated


def _dr_grpo(how: Aggregation, loss_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return (loss_BT * mask_BT).sum() / (len(loss_BT) * how.max_completion_length)


AGGREGATIONS: dict[str, Aggregate] = {
    "grpo": _per_step(lambda how, loss_BT, mask_BT: sequence_mean(loss_BT, mask_BT)),
    "bnpo": _per_step(lambda how, loss_BT, mask_BT: token_mean(loss_BT, mask_BT)),
    "dr_grpo": _per_step(_dr_grpo),
    "dapo": _dapo,
}
"""One entry for each `loss_type` to which a term can be added."""
