"""Where credit is attached to a generation batch: after scoring, before TRL shuffles and splits.

A credit is an advantage, a teacher and a use of its divergence. It sees a batch three times:
`attach` while its groups still exist, `weigh` once it is cut into the micro-batches of the
optimizer steps, and `loss` for each of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from scgrpo.credit.advantages import Estimator
from scgrpo.rollouts import Batch, Metrics, Rollouts
from scgrpo.teachers.lessons import DrawKey, Lessons, Teacher


class Use(Protocol):
    """What becomes of the teacher's divergence."""

    needs_student_pass: bool
    """Whether the hidden states of a student pass that TRL makes anyway are of use."""

    def attach(
        self, batch: Batch, rollouts: Rollouts, lessons: Lessons, reward_NG: Tensor
    ) -> Metrics:
        """Add per-rollout tensors to the batch; they survive shuffle and split."""
        ...

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        """Turn the advantages of the micro-batches into per-token ones, where that is wanted."""
        ...


class NoUse:
    """TRL's batch as it is."""

    needs_student_pass = False

    def attach(
        self, batch: Batch, rollouts: Rollouts, lessons: Lessons, reward_NG: Tensor
    ) -> Metrics:
        return {}

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        return {}


@dataclass
class Credit:
    """How the tokens of a batch get their credit."""

    advantage: Estimator
    teacher: Teacher
    use: Use

    def attach(
        self,
        trainer: Any,
        batch: Batch,
        rollouts: Rollouts,
        reward_NG: Tensor,
        route_N: Tensor,
        key: DrawKey,
    ) -> Metrics:
        """Advantages, lessons and what their use adds, for a batch whose groups still exist."""
        logged = self.advantage(trainer, batch, rollouts)
        lessons = self.teacher.lessons(batch, rollouts, reward_NG, route_N, key)
        rollouts.lessons = lessons
        return logged | lessons.logged | self.use.attach(batch, rollouts, lessons, reward_NG)

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        """Per-token advantages, where the use means them."""
        return self.use.weigh(micro_batches, steps_per_update)

    def loss(
        self, trainer: Any, inputs: Batch, surrogate: Callable[[], Tensor]
    ) -> tuple[Tensor, Metrics]:
        """TRL's loss, and what the use adds to it."""
        add = getattr(self.use, "loss", None)
        if add is None or "credit_active" not in inputs:
            return surrogate(), {}
        return add(trainer, inputs, surrogate)  # type: ignore[no-any-return]
