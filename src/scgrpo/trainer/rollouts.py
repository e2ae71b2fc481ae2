"""What one generation batch leaves behind while TRL builds its tensors from it."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from scgrpo.teachers.scoring import TopTokens


@dataclass
class Rollouts:
    """Rollouts of this process, and the rewards of all processes.

    Local rollout i has the global number `first + i`; groups are runs of `num_generations`
    global rollouts and may span processes.
    """

    prompts: list[Any] = field(default_factory=list)
    """Messages or text, as the student saw them (an environment may have added to them)."""
    prompt_ids: list[list[int]] = field(default_factory=list)
    completion_ids: list[list[int]] = field(default_factory=list)
    tools: list[Any] = field(default_factory=list)
    """Tools that each prompt was rendered with."""
    reward_per_func: Tensor | None = None
    """`(B_all, F)` rewards of all processes, NaN where a function does not apply."""
    student_hidden: Tensor | None = None
    """`(B, T, H)` states that predict the completions, where TRL made a student pass."""
    inspected: set[int] = field(default_factory=set)
    """Local rollouts whose likeliest tokens are to be kept for the report."""
    top_tokens: dict[int, tuple[TopTokens, TopTokens]] = field(default_factory=dict)
    """Student's and teacher's likeliest tokens of these."""
