"""What is said where a teacher's prompt has no room, even without its reference."""

import logging
from dataclasses import dataclass
from typing import NamedTuple

from scgrpo.rollouts import StepContext

logger = logging.getLogger(__name__)


class Misfit(NamedTuple):
    """Tokens of a prompt and a completion that do not fit together."""

    guide: int
    """With the mark that stands for a reference that is cut away."""
    prompt: int
    completion: int
    limit: int

    def __str__(self) -> str:
        return (
            f"guide of {self.guide} tokens + prompt of {self.prompt} + completion of "
            f"{self.completion} > {self.limit}"
        )


@dataclass
class FitWatch:
    """Warns once, and refuses a first step in which no rollout can be taught."""

    has_warned: bool = False

    def watch(self, step: StepContext, misfit: Misfit | None, wanted: int, unfit: int) -> None:
        """Take note of a generation batch; all processes call it alike.

        Args:
            step: the generation batch.
            misfit: one of this process.
            wanted: rollouts of all processes that should have a teacher.
            unfit: those of them that have none, as its prompt does not fit.

        Raises:
            ValueError: where that is so for every rollout of the first step.
        """
        if not unfit or (self.has_warned and unfit < wanted):
            return
        seen = step.world.gather_objects([] if misfit is None else [misfit])[0]
        cure = (
            "shorten the guide or max_completion_length, raise teacher_max_length where the model "
            "has room, or set preset='grpo'"
        )
        if unfit == wanted and step.step == 0:
            raise ValueError(f"no teacher prompt of the first step fits ({seen}); {cure}.")
        if not self.has_warned and step.world.process_index == 0:
            logger.warning(
                "%d of %d rollouts stay plain, as their teacher prompts do not fit (for instance "
                "%s); %s.",
                unfit,
                wanted,
                seen,
                cure,
            )
        self.has_warned = True
