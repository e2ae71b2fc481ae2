"""Who teaches, and what the teacher is shown of each rollout.

Shapes: B rollouts of this process, N groups, G rollouts a group, R references of a rollout.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from scgrpo.config import Method
from scgrpo.method import Route, draw_references, route_groups, verified_mask
from scgrpo.rollouts import (
    Batch,
    Metrics,
    Rollouts,
    from_everywhere,
    of_rollouts,
)
from scgrpo.teachers.memory import Remembered, TrajectoryMemory
from scgrpo.teachers.prompts import TeacherPrompts


@dataclass(frozen=True)
class DrawKey:
    """What the draw of references is keyed by."""

    seed: int
    step: int
    first_group: int = 0


class Reference(NamedTuple):
    """A trajectory that a teacher is shown."""

    ids: list[int]
    mask: list[int] | None = None
    """1 for tokens that the model wrote, 0 for those of tools; None where there are no tools."""

    @property
    def written(self) -> int:
        """Tokens that the model wrote."""
        return len(self.ids) if self.mask is None else sum(self.mask)


@dataclass
class Lessons:
    """What the teacher is shown, per rollout of this process."""

    prompts: list[list[list[int]]]
    """Teacher prompts of each rollout, none where it has no teacher."""
    reference: list[int]
    """Global number of each rollout's first reference, -1 for none or one of an earlier step."""
    outside: dict[int, Reference] = field(default_factory=dict)
    """First references, by rollout, that are no rollouts of this batch."""
    reference_length: list[int] = field(default_factory=list)
    """Model-written tokens of each rollout's first reference."""
    diversity_sign: Tensor | None = None
    """`(N)` 1 for an unsolved group, whose advantage rewards diversity from a failed reference; -1
    where its reference is verified and agreement is rewarded; 0 for other groups."""
    logged: Metrics = field(default_factory=dict)


class Teacher(Protocol):
    """Says which rollouts have a teacher and what it is shown."""

    def route(self, rollouts: Rollouts, reward_NG: Tensor, step: int) -> Tensor:
        """Route `(N)` of each group."""
        ...

    def lessons(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Lessons:
        """What the teacher is shown of the rollouts of this process."""
        ...


@dataclass
class Prompter:
    """Teacher prompts of rollouts, with a count of the references that had to be cut."""

    prompts: TeacherPrompts
    rollouts: Rollouts
    cut: int = 0

    def build(self, row: int, reference: Reference) -> list[int] | None:
        """The prompt for one rollout and reference, None where not even an empty one fits."""
        rollouts = self.rollouts
        prompt = self.prompts.build(
            rollouts.prompts[row],
            rollouts.prompt_ids[row],
            reference.ids,
            len(rollouts.completion_ids[row]),
            tools=rollouts.tools[row] if rollouts.tools else None,
            reference_written=reference.mask,
        )
        self.cut += prompt is None or prompt.reference_cut
        return None if prompt is None else prompt.ids


@dataclass
class OwnRollouts:
    """The policy itself, shown rollouts of the same group or of earlier steps (section 4)."""

    method: Method
    accelerator: Accelerator
    prompts: TeacherPrompts
    memory: TrajectoryMemory | None = None

    def route(self, rollouts: Rollouts, reward_NG: Tensor, step: int) -> Tensor:
        rollouts.recalled = self._recall(rollouts, reward_NG, step)
        counts = torch.tensor(list(map(len, rollouts.recalled)))
        method = self.method
        return route_groups(reward_NG, method.reference_set, method.solve_threshold, counts)

    def lessons(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Lessons:
        counts = torch.tensor(list(map(len, rollouts.recalled)))
        reference_NGR = draw_references(
            reward_NG,
            route_N,
            seed=key.seed,
            step=key.step,
            first_group=key.first_group,
            solve_threshold=self.method.solve_threshold,
            count=self.method.references,
            remembered=counts,
        )
        library = self._library(rollouts)
        lessons = self._lessons(rollouts, reference_NGR, library)
        unsolved_N = route_N == Route.NONE
        lessons.diversity_sign = torch.where(counts > 0, -1, 1) * unsolved_N
        if self.memory is not None:
            self._remember(rollouts, reward_NG, library, key.step)
            lessons.logged |= {
                "memory/rollouts": float(len(self.memory)),
                "memory/groups": (counts > 0).float().mean().item(),
            }
        return lessons

    def _lessons(
        self,
        rollouts: Rollouts,
        reference_NGR: Tensor,
        library: list[Reference],
    ) -> Lessons:
        size = reference_NGR.shape[1]
        local = rollouts.local(self.accelerator)
        prompter = Prompter(self.prompts, rollouts)
        lessons = Lessons([], [])
        for row, drawn in enumerate(reference_NGR.flatten(0, 1)[local].tolist()):
            group = (local.start + row) // size
            first, prompts = -1, []
            length = 0
            for place, index in enumerate(i for i in drawn if i >= 0):
                if index < size:
                    number = group * size + index
                    reference = library[number]
                else:
                    number, entry = -1, rollouts.recalled[group][index - size]
                    reference = Reference(entry.completion_ids, entry.mask)
                if place == 0:
                    first, length = number, reference.written
                    if number < 0:
                        lessons.outside[row] = reference
                prompts.append(prompter.build(row, reference))
            lessons.prompts.append([ids for ids in prompts if ids is not None])
            lessons.reference.append(first)
            lessons.reference_length.append(length)
        lessons.logged = _cut_everywhere(self.accelerator, prompter.cut)
        return lessons

    def _library(self, rollouts: Rollouts) -> list[Reference]:
        """The rollouts of all processes."""
        ids = from_everywhere(self.accelerator, rollouts.completion_ids)
        masks = from_everywhere(self.accelerator, rollouts.written) or [None] * len(ids)
        return [Reference(*pair) for pair in zip(ids, masks, strict=True)]

    def _recall(self, rollouts: Rollouts, reward_NG: Tensor, step: int) -> list[list[Remembered]]:
        if self.memory is None:
            return [[] for _ in reward_NG]
        groups, size = reward_NG.shape
        problems = of_rollouts(from_everywhere(self.accelerator, rollouts.problems), groups)
        ids = from_everywhere(self.accelerator, rollouts.completion_ids)
        # What the group wrote again is no reference from elsewhere: nobody is shown their own text.
        return [
            [r for r in self.memory.recall(problem, step) if r.completion_ids not in written]
            for problem, written in zip(problems, _cut_into(ids, size), strict=True)
        ]

    def _remember(
        self,
        rollouts: Rollouts,
        reward_NG: Tensor,
        library: list[Reference],
        step: int,
    ) -> None:
        assert self.memory is not None
        self.memory.forget(step)
        problems = from_everywhere(self.accelerator, rollouts.problems)
        solved = verified_mask(reward_NG, self.method.solve_threshold).flatten().tolist()
        for problem in dict.fromkeys(problems):
            rows = [i for i, name in enumerate(problems) if name == problem and solved[i]]
            if rows:
                found = [Remembered(step, *library[i]) for i in rows]
                self.memory.add(problem, found)


@dataclass
class GivenTeacher:
    """A teacher of every rollout; the routes are logged as SC-GRPO would take them."""

    method: Method

    def route(self, rollouts: Rollouts, reward_NG: Tensor, step: int) -> Tensor:
        return route_groups(reward_NG, self.method.reference_set, self.method.solve_threshold)

    def lessons(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Lessons:
        return Lessons(self.prompts_of(rollouts), [-1] * len(rollouts.rows))

    def prompts_of(self, rollouts: Rollouts) -> list[list[list[int]]]:
        """Teacher prompts of each rollout."""
        raise NotImplementedError


class NoTeacher(GivenTeacher):
    """Nobody."""

    def prompts_of(self, rollouts: Rollouts) -> list[list[list[int]]]:
        return [[] for _ in rollouts.rows]


class OtherModel(GivenTeacher):
    """Another model, shown what the student saw (OPD)."""

    def prompts_of(self, rollouts: Rollouts) -> list[list[list[int]]]:
        return [[ids] for ids in rollouts.prompt_ids]


@dataclass
class Demonstrations(GivenTeacher):
    """The policy itself, shown the data set's own solution (OPSD)."""

    accelerator: Accelerator
    prompts: TeacherPrompts

    def lessons(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Lessons:
        prompter = Prompter(self.prompts, rollouts)
        lessons = Lessons([], [-1] * len(rollouts.rows))
        for row, data in enumerate(rollouts.rows):
            ids = self._ids(data[self.method.demonstration])
            prompt = prompter.build(row, Reference(ids)) if ids else None
            lessons.prompts.append([] if prompt is None else [prompt])
            if prompt is not None:
                lessons.outside[row] = Reference(ids)
        lessons.logged = _cut_everywhere(self.accelerator, prompter.cut)
        return lessons

    def _ids(self, text: str | None) -> list[int]:
        encoded = self.prompts.tokenizer(text or "", add_special_tokens=False)
        return list(encoded["input_ids"])


def _cut_into(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _cut_everywhere(accelerator: Accelerator, cut: int) -> Metrics:
    total = accelerator.reduce(torch.tensor([cut], device=accelerator.device), reduction="sum")
    return {"credit/reference_truncated": float(total.item())}
