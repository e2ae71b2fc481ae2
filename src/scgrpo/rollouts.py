"""What a generation batch is: everything that the steps of the method may know of it.

Shapes: B rollouts of this process, B_all of all processes, N groups, G rollouts a group, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scgrpo.world import World

Batch = dict[str, Any]
"""TRL's tensors of a generation batch, or of a micro-batch of it."""
Metrics = dict[str, float]


@dataclass(frozen=True)
class Rollouts:
    """Rollouts of this process, and the rewards of all processes.

    Local rollout i has the global number `first + i`; groups are runs of G global rollouts and may
    span processes.
    """

    rows: Sequence[dict[str, Any]]
    """Rows of the data set, one a rollout."""
    prompts: Sequence[Any]
    """Messages or text, as the student saw them (an environment may have added to them)."""
    prompt_ids: Sequence[list[int]]
    completion_ids: Sequence[list[int]]
    reward_per_func: Tensor
    """`(B_all, F)` rewards of all processes, NaN where a function does not apply."""
    written: Sequence[list[int]] = ()
    """1 for completion tokens that the model wrote, 0 for those of tools; empty without tools."""
    tools: Sequence[Any] = ()
    """Tools that each prompt was rendered with."""
    student_hidden: Tensor | None = None
    """`(B, T, H)` states that predict the completions, where TRL made a student pass."""
    masked: Sequence[bool] = ()
    """Whether a rollout is left out of the loss as it was cut off; empty where none can be."""
    masked_groups: int = 0
    """Last groups of all, which fill the batch and are not learned from."""

    def __len__(self) -> int:
        return len(self.completion_ids)

    @property
    def problems(self) -> list[str]:
        """What names the problem of each rollout."""
        return [self.problem(row) for row in range(len(self))]

    def problem(self, row: int) -> str:
        """What names the problem of a rollout: its `problem_id`, or else its prompt."""
        own = self.rows[row]
        return str(own.get("problem_id", own.get("prompt", self.prompts[row])))


@dataclass(frozen=True)
class StepContext:
    """A generation batch, and where in the run it stands."""

    rollouts: Rollouts
    reward_NG: Tensor
    """`(N, G)` the verifier's rewards of all processes, NaN where unscored; on the CPU."""
    total_NG: Tensor
    """`(N, G)` weighted sum of the rewards of all functions, NaN where none applies; on the CPU."""
    world: World
    seed: int = 0
    step: int = 0
    """Optimizer steps done."""
    first_group: int = 0
    """Number of the first of these groups within the optimizer step."""
    inspected: int = 0
    """So many rollouts, the first of all processes, whose likeliest tokens are wanted."""
    updates_once: bool = False
    """Whether one update reads each rollout as a pass of the student would, with these weights."""

    @property
    def local(self) -> slice:
        """Which of the global rollouts are those of this process."""
        count = len(self.rollouts)
        return slice(self.world.process_index * count, (self.world.process_index + 1) * count)


def written_tokens(batch: Batch) -> Tensor:
    """Tokens `(B, T)` that the model wrote: neither padding nor a tool's answer."""
    mask = batch["completion_mask"]
    return (mask * batch["tool_mask"] if "tool_mask" in batch else mask).bool()


def total_reward(reward_per_func: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum `(B_all)` of reward functions `(B_all, F)`, NaN where none of them applies."""
    total = (reward_per_func * weights.to(reward_per_func.device)).nansum(1)
    return total.masked_fill(reward_per_func.isnan().all(1), torch.nan)
