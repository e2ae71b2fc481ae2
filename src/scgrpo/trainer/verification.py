"""Which rewards say that a rollout is solved, and whether the threshold was ever of use.

Shapes: B_all rollouts of all processes, F reward functions, N groups, G rollouts a group.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from scgrpo.rollouts import total_reward
from scgrpo.trainer.rewards import OVERLONG_NAME

logger = logging.getLogger(__name__)

WATCHED_STEPS = 10


@dataclass(frozen=True)
class Verification:
    """The named reward function; the only one; else the weighted sum of all that the user gave."""

    columns: Sequence[int]
    """Of the reward functions that are asked."""
    weights: Tensor
    """`(F)`; of no matter where a single function is asked."""

    @classmethod
    def of(cls, names: Sequence[str], weights: Tensor, verifier: str | None) -> "Verification":
        """What is asked of the trainer's reward functions.

        Args:
            names: of the functions, DAPO's over-long penalty among them where it was added.
            weights: `(F)` of the functions.
            verifier: name of one of them, if the user has said it.

        Raises:
            ValueError: for a name that no function has.
        """
        own = [column for column, name in enumerate(names) if name != OVERLONG_NAME]
        if verifier is None:
            return cls(own, weights)
        if verifier not in names:
            raise ValueError(
                f"verifier is {verifier!r}, but the reward functions are "
                f"{', '.join(names[column] for column in own)}; name one of them, or leave it out."
            )
        return cls([names.index(verifier)], weights)

    def reward(self, reward_per_func: Tensor) -> Tensor:
        """The rewards `(B_all)` that are held against the threshold, NaN where unscored."""
        if len(self.columns) == 1:
            return reward_per_func[:, self.columns[0]]
        return total_reward(reward_per_func[:, self.columns], self.weights[self.columns])


@dataclass
class ThresholdWatch:
    """Warns once where the threshold tells no rollouts apart in the first steps of a run."""

    threshold: float
    seen: list[Tensor] = field(default_factory=list)
    """Scored rewards so far; for nothing once the steps are over."""
    is_over: bool = False

    def see(self, reward_NG: Tensor, step: int) -> None:
        """Take the verified rewards of a generation batch into account.

        Args:
            reward_NG: `(N, G)` of all processes.
            step: optimizer steps done; a run that goes on from a later one is not watched.
        """
        self.is_over |= step > 0 and not self.seen
        if self.is_over:
            return
        self.seen.append(reward_NG[~reward_NG.isnan()])
        if step >= WATCHED_STEPS - 1:
            self._warn()
            self.is_over, self.seen = True, []

    def _warn(self) -> None:
        rewards = [reward for batch in self.seen for reward in batch.tolist()]
        solved = sum(reward >= self.threshold for reward in rewards)
        if 0 < solved < len(rewards):
            return
        highest = f"{max(rewards):g}" if rewards else "none at all"
        logger.warning(
            "%s rollout of the first %d steps has reached solve_threshold=%g (the highest reward "
            "was %s): %s; set solve_threshold to the reward from which on a rollout is solved, or "
            "verifier to the reward function that says so.",
            "every" if solved else "no",
            WATCHED_STEPS,
            self.threshold,
            highest,
            "there is no difference between rollouts to give credit for"
            if solved
            else "no rollout can be shown as a solution",
        )
