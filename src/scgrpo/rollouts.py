"""What one generation batch leaves behind while TRL builds its tensors from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from scgrpo.credit.scoring import TopTokens
from scgrpo.teachers.memory import Remembered

Batch = dict[str, Any]
Metrics = dict[str, float]


@dataclass
class Rollouts:
    """Rollouts of this process, and the rewards of all processes.

    Local rollout i has the global number `first + i`; groups are runs of `num_generations`
    global rollouts and may span processes.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the data set, one a rollout."""
    prompts: list[Any] = field(default_factory=list)
    """Messages or text, as the student saw them (an environment may have added to them)."""
    prompt_ids: list[list[int]] = field(default_factory=list)
    completion_ids: list[list[int]] = field(default_factory=list)
    written: list[list[int]] = field(default_factory=list)
    """1 for completion tokens that the model wrote, 0 for those of tools; empty without tools."""
    tools: list[Any] = field(default_factory=list)
    """Tools that each prompt was rendered with."""
    recalled: list[list[Remembered]] = field(default_factory=list)
    """Verified rollouts of earlier steps, by group of all processes."""
    masked_groups: int = 0
    """Last groups of all, which fill the batch and are not learned from."""
    reward_per_func: Tensor | None = None
    """`(B_all, F)` rewards of all processes, NaN where a function does not apply."""
    student_hidden: Tensor | None = None
    """`(B, T, H)` states that predict the completions, where TRL made a student pass."""
    lessons: Any = None
    """What the teacher was shown (`scgrpo.teachers.lessons.Lessons`)."""
    inspected: set[int] = field(default_factory=set)
    """Local rollouts whose likeliest tokens are to be kept for the report."""
    top_tokens: dict[int, tuple[TopTokens, TopTokens]] = field(default_factory=dict)
    """Student's and teacher's likeliest tokens of these."""

    @property
    def problems(self) -> list[str]:
        """What names the problem of each rollout: its `problem_id`, or else its prompt."""
        pairs = zip(self.rows, self.prompts, strict=True)
        return [str(row.get("problem_id", row.get("prompt", prompt))) for row, prompt in pairs]

    def local(self, accelerator: Accelerator) -> slice:
        """Which of the global rollouts are those of this process."""
        count = len(self.completion_ids)
        first = accelerator.process_index * count
        return slice(first, first + count)


def from_everywhere(accelerator: Accelerator, items: Iterable[Any]) -> list[Any]:
    """Python objects of all processes, in the order of the processes."""
    items = list(items)
    return items if accelerator.num_processes == 1 else list(gather_object(items))


def written_tokens(batch: Batch) -> Tensor:
    """Tokens `(B, T)` that the model wrote: neither padding nor a tool's answer."""
    mask = batch["completion_mask"]
    return (mask * batch["tool_mask"] if "tool_mask" in batch else mask).bool()


def of_rollouts(values: Sequence[Any], groups: int) -> list[Any]:
    """One value a group, from values of its rollouts that are all the same."""
    return list(values[:: len(values) // groups])
