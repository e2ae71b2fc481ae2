"""TRL's aggregation of per-token losses, for terms that are added to its loss.

Shapes: B rollouts of a micro-batch, T tokens.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from scgrpo.method import sequence_mean, token_mean
from scgrpo.rollouts import Batch, written_tokens


def aggregate(loss_BT: Tensor, inputs: Batch, trainer: Any) -> Tensor:
    """A per-token loss as TRL aggregates its own, gradient accumulation included.

    Args:
        loss_BT: `(B, T)`.
        inputs: the micro-batch.
        trainer: whose `loss_type` and accumulation are followed.
    """
    return AGGREGATIONS[trainer.args.loss_type](loss_BT, inputs, trainer)


def _dapo(loss_BT: Tensor, inputs: Batch, trainer: Any) -> Tensor:
    # TRL counts the tokens of a generation batch of all processes, from which one accumulation
    # window takes its part; DDP averages over processes afterwards.
    window = trainer.current_gradient_accumulation_steps / trainer.args.steps_per_generation
    tokens = inputs["num_items_in_batch"].clamp(min=1) / trainer.accelerator.num_processes
    return (loss_BT * written_tokens(inputs)).sum() / (tokens * window)


def _per_step(
    reduce: Callable[[Tensor, Tensor, Any], Tensor],
) -> Callable[[Tensor, Batch, Any], Tensor]:
    def aggregated(loss_BT: Tensor, inputs: Batch, trainer: Any) -> Tensor:
        reduced = reduce(loss_BT, written_tokens(inputs), trainer)
        return reduced / trainer.current_gradient_accumulation_steps

    return aggregated


AGGREGATIONS: dict[str, Callable[[Tensor, Batch, Any], Tensor]] = {
    "grpo": _per_step(lambda loss, mask, trainer: sequence_mean(loss, mask)),
    "bnpo": _per_step(lambda loss, mask, trainer: token_mean(loss, mask)),
    "dr_grpo": _per_step(
        lambda loss, mask, trainer: (
            (loss * mask).sum() / (len(loss) * trainer.max_completion_length)
        )
    ),
    "dapo": _dapo,
}
"""One entry for each `loss_type` to which a term can be added."""
