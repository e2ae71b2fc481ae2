"""What may become of the teacher's opinion, as `credit.py` asks for it.

Shapes: B rollouts of this process, T tokens, M active tokens of an optimizer step on this process,
M_all on all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from scgrpo.credit.reading import Seconds
from scgrpo.credit.scoring import Inspection
from scgrpo.rollouts import Batch, Metrics, StepContext
from scgrpo.teachers.teacher import References, ShownPrompts
from scgrpo.world import UnevenVectors


@dataclass(frozen=True)
class Passes:
    """What the passes of a generation batch add to it."""

    columns: Batch = field(default_factory=dict)
    """Per-rollout tensors, which survive shuffle and split."""
    scored_B: Tensor | None = None
    """`(B)` rollouts that have a divergence `kl` among the columns."""
    inspections: Mapping[int, Inspection] = field(default_factory=dict)
    """By row, of the rollouts that are inspected."""
    seconds: Seconds = field(default_factory=dict)


@dataclass(frozen=True)
class Signals:
    """What is known of the active tokens of one optimizer step."""

    values: Mapping[str, Tensor]
    """`(M_all)` D as `kl` where it is wanted, and what else there is, of all processes."""
    vectors: UnevenVectors
    """Which of these are this process's."""
    sequence: Tensor
    """`(M)` number of the rollout of each token of this process, among those of the window."""
    trust: Tensor
    """`(M)` lambda of these tokens."""


@dataclass(frozen=True)
class Update:
    """Where in the run an optimizer step stands."""

    step: int
    """Optimizer steps done."""
    accumulation_steps: int
    """Micro-batches of this optimizer step."""
    is_last: bool = True
    """Whether this is the last micro-batch of its step; some before it may have been left out."""


@dataclass(frozen=True)
class Loss:
    """Loss of a micro-batch."""

    value: Tensor
    logged: Metrics = field(default_factory=dict)
    seconds: Seconds = field(default_factory=dict)
    opinions: Tensor | None = None
    """`(B, 3)` what the teacher thought of the rollouts, see `credit/trust.py`."""


class Use(Protocol):
    """What becomes of the teacher's opinion."""

    wants_student_states: bool
    """Whether the hidden states of a student pass that TRL makes anyway are of use."""

    def passes(
        self, batch: Batch, step: StepContext, references: References, prompts: ShownPrompts
    ) -> Passes:
        """What is taken of a generation batch while its groups still exist."""
        ...

    def windows(
        self, micro_batches: Sequence[Batch], per_step: int, position: int
    ) -> Iterator[Sequence[Batch]]:
        """Micro-batches that share a threshold; none where no token is weighted.

        Args:
            micro_batches: of one generation batch.
            per_step: micro-batches of one optimizer step.
            position: of the first of them within its optimizer step.
        """
        ...

    def signals(self, window: Sequence[Batch]) -> Signals:
        """D and the other signals of the active tokens of all processes."""
        ...

    def threshold(self, values: Tensor) -> Tensor:
        """Scale c of D, or of another signal `(M_all)`."""
        ...

    def weight(self, signals: Signals, c: Tensor | None) -> Tensor:
        """Weights `(M)` of this process's active tokens."""
        ...

    def loss(self, micro_batch: Batch, surrogate: Callable[[], Tensor], update: Update) -> Loss:
        """The loss of a micro-batch, of which `surrogate` makes TRL's part and its forward."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What a later optimizer step is to know of those before, in plain types."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        ...


class NoUse:
    """TRL's batch and loss as they are."""

    wants_student_states = False

    def passes(
        self, batch: Batch, step: StepContext, references: References, prompts: ShownPrompts
    ) -> Passes:
        return Passes()

    def windows(
        self, micro_batches: Sequence[Batch], per_step: int, position: int
    ) -> Iterator[Sequence[Batch]]:
        return iter(())

    def signals(self, window: Sequence[Batch]) -> Signals:
        raise NotImplementedError

    def threshold(self, values: Tensor) -> Tensor:
        raise NotImplementedError

    def weight(self, signals: Signals, c: Tensor | None) -> Tensor:
        raise NotImplementedError

    def loss(self, micro_batch: Batch, surrogate: Callable[[], Tensor], update: Update) -> Loss:
        return Loss(surrogate())

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
