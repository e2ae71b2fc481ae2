"""Verified rollouts of earlier steps, for problems that this step does not solve often enough."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple


class Reference(NamedTuple):
    """A trajectory that a teacher is shown."""

    ids: list[int]
    mask: list[int] | None = None
    """1 for tokens that the model wrote, 0 for those of tools; None where there are no tools."""
    number: int = -1
    """Global number of the rollout in its generation batch, -1 for one of elsewhere."""

    @property
    def written(self) -> int:
        """Tokens that the model wrote."""
        return len(self.ids) if self.mask is None else sum(self.mask)


@dataclass(frozen=True)
class Remembered:
    """One verified rollout."""

    step: int
    """Optimizer step at which it was generated."""
    completion_ids: list[int]
    mask: list[int] | None = None
    """1 for tokens that the model wrote, 0 for those of tools; None where there are no tools."""


@dataclass(frozen=True)
class TrajectoryMemory:
    """The latest verified rollouts of each problem; the same on all processes."""

    size: int
    """Most rollouts kept for a problem."""
    max_age: int
    """Steps after which one is forgotten."""
    kept: Mapping[str, Sequence[Remembered]] = field(default_factory=dict)

    def recall(self, problem: str, step: int) -> list[Remembered]:
        """What is known of a problem at a step, the latest first."""
        return [r for r in self.kept.get(problem, ()) if step - r.step <= self.max_age]

    def after(
        self, step: int, found: Iterable[tuple[str, Sequence[Remembered]]]
    ) -> "TrajectoryMemory":
        """The memory without what is too old at a step, and with what was found in it.

        Args:
            step: optimizer steps done.
            found: problems and their verified rollouts, of which equal ones count once, in the
                place of the oldest.
        """
        kept = {problem: recent for problem in self.kept if (recent := self.recall(problem, step))}
        for problem, rollouts in found:
            known = kept.get(problem, [])
            distinct = {tuple(r.completion_ids): r for r in [*reversed(known), *rollouts]}
            kept[problem] = sorted(distinct.values(), key=lambda r: -r.step)[: self.size]
        return replace(self, kept=kept)

    def __len__(self) -> int:
        return sum(map(len, self.kept.values()))

    def state_dict(self) -> dict[str, Any]:
        """Everything that is remembered, in plain types."""
        return {
            problem: [(r.step, r.completion_ids, r.mask) for r in rollouts]
            for problem, rollouts in self.kept.items()
        }

    def restored(self, state: Mapping[str, Any]) -> "TrajectoryMemory":
        """The memory of which `state_dict` gave the state."""
        kept = {
            problem: [Remembered(*fields) for fields in rollouts]
            for problem, rollouts in state.items()
        }
        return replace(self, kept=kept)
