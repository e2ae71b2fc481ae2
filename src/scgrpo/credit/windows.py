"""What all uses that weigh tokens have in common.

Shapes: M active tokens of an optimizer step on this process, M_all on all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from scgrpo.config import Method
from scgrpo.credit.advantages import per_token
from scgrpo.credit.use import NoUse, Signals
from scgrpo.method import Weight, mean_one, threshold
from scgrpo.rollouts import Batch
from scgrpo.world import OneProcess, UnevenVectors, World


@dataclass(frozen=True)
class Windows(NoUse):
    """Which micro-batches share a threshold, what it is, and the mean of weights."""

    method: Method
    world: World

    def windows(
        self, micro_batches: Sequence[Batch], per_step: int, position: int
    ) -> Iterator[Sequence[Batch]]:
        if self.method.threshold_scope == "micro_batch":
            per_step, position = 1, 0
        # Of an optimizer step that other generation batches share, only what is here is known.
        ends = [*range(per_step - position, len(micro_batches), per_step), len(micro_batches)]
        return (micro_batches[i:j] for i, j in pairwise([0, *ends]))

    def threshold(self, values: Tensor) -> Tensor:
        method = self.method
        if method.threshold_fixed is not None:
            return torch.tensor(method.threshold_fixed, device=values.device)
        everywhere = torch.ones_like(values, dtype=torch.bool)
        return threshold(values, everywhere, method.threshold_percentile, method.threshold_min)

    def gathered(
        self,
        window: Sequence[Batch],
        names: Sequence[str],
        weight: Weight,
        world: World | None = None,
    ) -> Signals:
        """Columns of the active tokens of all processes, and what else the weight asks for.

        Args:
            window: micro-batches.
            names: of the columns.
            weight: whose signals are wanted.
            world: the processes, by default those that share a threshold.
        """
        own = {name: active(window, name) for name in names}
        tokens_B = torch.cat([m["credit_active"].sum(1) for m in window])
        rows = torch.arange(len(tokens_B), device=tokens_B.device)
        sequence_M = rows.repeat_interleave(tokens_B)
        alone = self.method.threshold_scope == "micro_batch"
        world = world or (OneProcess() if alone else self.world)
        vectors = UnevenVectors(world, len(sequence_M))
        if "advantage" in weight.signals:
            own["advantage"] = _active_advantages(window)
        if "rollout" in weight.signals:
            own["rollout"] = sequence_M + UnevenVectors(world, len(rows)).first
        trust_B = torch.cat([_trust_of(m) for m in window])
        return Signals(
            {name: vectors.gather(values) for name, values in own.items()},
            vectors,
            sequence_M,
            trust_B.repeat_interleave(tokens_B),
        )

    def normalised(self, weight: Tensor, signals: Signals) -> Tensor:
        """Weights `(M)` of this process, of `(M_all)`, scaled to the mean that was asked for."""
        if self.method.weight_normalisation == "batch":
            weight = mean_one(weight)
        weight = signals.vectors.mine(weight)
        if self.method.weight_normalisation == "sequence":
            weight = mean_one(weight, signals.sequence)
        return weight


def active(micro_batches: Sequence[Batch], name: str) -> Tensor:
    """Values `(M)` of the active tokens, micro-batch by micro-batch."""
    return torch.cat([m[name][m["credit_active"]] for m in micro_batches])


def _active_advantages(window: Sequence[Batch]) -> Tensor:
    return torch.cat(
        [per_token(m["advantages"], m["credit_active"])[m["credit_active"]] for m in window]
    )


def _trust_of(micro_batch: Batch) -> Tensor:
    """lambda `(B)` of each rollout; 1 where the weight is not gated."""
    active_BT = micro_batch["credit_active"]
    return micro_batch.get("trust", torch.ones(len(active_BT), device=active_BT.device))
