"""Verified rollouts of earlier steps, for problems that this step does not solve often enough."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Remembered:
    """One verified rollout."""

    step: int
    """Optimizer step at which it was generated."""
    completion_ids: list[int]
    mask: list[int] | None = None
    """1 for tokens that the model wrote, 0 for those of tools; None where there are no tools."""


@dataclass
class TrajectoryMemory:
    """The latest verified rollouts of each problem; the same on all processes."""

    size: int
    """Most rollouts kept for a problem."""
    max_age: int
    """Steps after which one is forgotten."""
    kept: dict[str, list[Remembered]] = field(default_factory=dict)

    def recall(self, problem: str, step: int) -> list[Remembered]:
        """What is known of a problem at a step, the latest first."""
        return [r for r in self.kept.get(problem, []) if step - r.step <= self.max_age]

    def forget(self, step: int) -> None:
        """Drop what is too old at a step."""
        fresh = {problem: self.recall(problem, step) for problem in self.kept}
        self.kept = {problem: rollouts for problem, rollouts in fresh.items() if rollouts}

    def add(self, problem: str, rollouts: Sequence[Remembered]) -> None:
        """Keep verified rollouts, of which equal ones count once, in the place of the oldest."""
        known = self.kept.get(problem, [])
        distinct = {tuple(r.completion_ids): r for r in [*reversed(known), *rollouts]}
        latest = sorted(distinct.values(), key=lambda r: -r.step)
        self.kept[problem] = latest[: self.size]

    def __len__(self) -> int:
        return sum(map(len, self.kept.values()))

    def state_dict(self) -> dict[str, Any]:
        """Everything that is remembered, in plain types."""
        return {
            problem: [(r.step, r.completion_ids, r.mask) for r in rollouts]
            for problem, rollouts in self.kept.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what `state_dict` gave."""
        self.kept = {
            problem: [Remembered(*fields) for fields in rollouts]
            for problem, rollouts in state.items()
        }
