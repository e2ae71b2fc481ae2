"""A step, from rollouts to the credit of each token: the table of contents.

| stage | method.md | where |
|---|---|---|
| route | 4 | `teachers/own_rollouts.py`, `method/routing.py` |
| references | 4 | `teachers/own_rollouts.py`, `method/references.py` |
| teacher prompts | 2 | `teachers/prompts.py`, `teachers/transcripts.py` |
| passes, divergence | 2 | `credit/scoring.py`, `credit/heads.py`, `method/chunked.py` |
| threshold, weight | 3, 5 | `credit/weight.py`, `method/weights.py`, `method/signals.py` |
| trust | 5 | `credit/trust.py`, `method/signed.py` |
| advantage | 1, 4, 6 | `credit/advantages.py`, `method/advantages.py` |
| loss term | 6 | `credit/distillation.py`, `credit/aggregation.py` |

Shapes: B rollouts of this process, N groups, G rollouts a group, M active tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from scgrpo.config import Method
from scgrpo.credit import metrics
from scgrpo.credit.advantages import Estimator, diversity
from scgrpo.credit.in_update import LATER
from scgrpo.credit.trust import Trust, opinion_rows, outcomes
from scgrpo.credit.use import Loss, Passes, Update, Use
from scgrpo.credit.weight import carried
from scgrpo.rollouts import Batch, Metrics, StepContext
from scgrpo.teachers.memory import TrajectoryMemory
from scgrpo.teachers.teacher import References, ShownPrompts, Teacher
from scgrpo.world import World


@dataclass(frozen=True)
class Attached:
    """What a generation batch gains while its groups still exist."""

    step: StepContext
    references: References
    prompts: ShownPrompts
    passes: Passes
    columns: Batch
    """Per-rollout tensors that replace or join those of the batch."""
    logged: Metrics


@dataclass(frozen=True)
class Weighed:
    """What the micro-batches of a generation batch gain once they are cut."""

    columns: Sequence[Batch]
    """For each micro-batch, tensors that replace or join its own."""
    logged: Metrics


@dataclass(frozen=True)
class Credit:
    """An advantage, a teacher, and a use of its opinion, in the order in which they are asked."""

    method: Method
    world: World
    advantage: Estimator
    teacher: Teacher
    use: Use
    trust: Trust

    def attach(
        self, batch: Batch, step: StepContext, memory: TrajectoryMemory | None = None
    ) -> Attached:
        """What needs whole groups, before TRL shuffles and splits the batch.

        Args:
            batch: TRL's tensors of the generation batch.
            step: the same batch as rollouts.
            memory: verified rollouts of earlier steps.
        """
        if self.method.trust == "auc" and not self.trust.record.pairs:
            step = replace(step, updates_once=False)  # lambda is not known yet
        advantage, logged = self.advantage(batch, step)
        library = self.teacher.library(step, memory)
        route_N = self.teacher.route(step, library)
        references = self.teacher.references(step, route_N, library, memory)
        prompts = self.teacher.prompts(step, references)
        passes = self.use.passes(batch, step, references, prompts)
        advantage, spread = diversity(
            advantage, passes, batch, step, references, self.method, self.use.threshold
        )
        columns = {
            **passes.columns,
            "advantages": advantage,
            "route": _per_rollout(route_N, step).to(advantage.device),
            "rollout_row": torch.arange(len(step.rollouts), device=advantage.device),
        }
        gate, known = self._judged(passes, step)
        columns |= gate
        shares = metrics.route_shares(route_N[: len(route_N) - step.rollouts.masked_groups])
        parts = (logged, references.logged, prompts.logged, spread, shares, known)
        return Attached(step, references, prompts, passes, columns, _joined(parts))

    def _judged(self, passes: Passes, step: StepContext) -> tuple[Batch, Metrics]:
        """What is to be known of each rollout to judge the teacher by, or how far it is believed.

        Where the divergence is in the loss, the teacher's opinion is known only by then.
        """
        if not passes.columns:
            return {}, {}
        active_BT = passes.columns["credit_active"]
        group_B, outcome_B = (x.to(active_BT.device) for x in outcomes(step, self.method))
        in_update = LATER in passes.columns or "log_ratio" not in passes.columns
        before = self.trust.value(step.step), bool(self.trust.record.pairs)
        columns, known = {"group_number": group_B, "outcome": outcome_B}, {}
        if not in_update:
            rows = opinion_rows(group_B, outcome_B, passes.columns["log_ratio"], active_BT)
            columns, known = {}, self.trust.see(rows, step.step)
        if self.method.trust != "none":
            uses_before = in_update or (self.method.threshold_scope == "previous" and before[1])
            value = before[0] if uses_before else self.trust.value(step.step)
            columns["trust"] = torch.full_like(outcome_B, value)
        return columns, known

    def state_dict(self) -> dict[str, Any]:
        """Everything that is remembered of earlier steps, in plain types."""
        return self.trust.state_dict() | {"use": self.use.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, of an older version too."""
        self.trust.load_state_dict(state)
        self.use.load_state_dict(state.get("use", {}))

    def weigh(self, micro_batches: Sequence[Batch], per_step: int, position: int = 0) -> Weighed:
        """Per-token advantages, once the batch is cut into micro-batches.

        Args:
            micro_batches: of one generation batch.
            per_step: micro-batches of one optimizer step.
            position: of the first of them within its optimizer step.
        """
        columns: list[Batch] = []
        scales: list[Tensor] = []
        for window in self.use.windows(micro_batches, per_step, position):
            signals = self.use.signals(window)
            kl = signals.values.get("kl")
            c = None if kl is None else self.use.threshold(kl)
            weight_M = self.use.weight(signals, c)
            parts = weight_M.split([int(m["credit_active"].sum()) for m in window])
            scales += [] if c is None else [c]
            columns += [carried(m, part, c) for m, part in zip(window, parts, strict=True)]
        if not columns:
            return Weighed([{} for _ in micro_batches], {})
        weighed = [m | own for m, own in zip(micro_batches, columns, strict=True)]
        return Weighed(columns, metrics.of_weights(weighed, scales, self.world))

    def loss(self, micro_batch: Batch, surrogate: Callable[[], Tensor], update: Update) -> Loss:
        """TRL's loss of a micro-batch, and the divergence where it is a term of the loss.

        Args:
            micro_batch: with what `attach` and `weigh` added.
            surrogate: makes the student's forward and returns TRL's loss.
            update: the optimizer step.
        """
        loss = self.use.loss(micro_batch, surrogate, update)
        if loss.opinions is None:
            return loss
        known = self.trust.collect(loss.opinions, update.step, is_last=update.is_last)
        return replace(loss, logged=loss.logged | known)


def _per_rollout(values_N: Tensor, step: StepContext) -> Tensor:
    """A value of each group, for each rollout of this process."""
    return values_N.repeat_interleave(step.reward_NG.shape[1])[step.local]


def _joined(parts: Sequence[Metrics]) -> Metrics:
    return {name: value for part in parts for name, value in part.items()}
