"""The policy itself, shown the data set's own solution (OPSD)."""

from dataclasses import dataclass

from torch import Tensor

from scgrpo.rollouts import StepContext
from scgrpo.teachers.memory import Reference, TrajectoryMemory
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.quoting import plain_ids
from scgrpo.teachers.teacher import Library, NoTeacher, References, ShownPrompts, show


@dataclass(frozen=True)
class Demonstrations(NoTeacher):
    """A teacher of every rollout whose row has a solution."""

    prompt_builder: TeacherPrompts

    def references(
        self,
        step: StepContext,
        route_N: Tensor,
        library: Library,
        memory: TrajectoryMemory | None,
    ) -> References:
        texts = [row[self.method.demonstration] for row in step.rollouts.rows]
        solutions = [self._ids(text) for text in texts]
        return References([[Reference(ids)] if ids else [] for ids in solutions])

    def prompts(self, step: StepContext, references: References) -> ShownPrompts:
        return show(step, references.shown, self.prompt_builder)

    def _ids(self, text: str | None) -> list[int]:
        return plain_ids(self.prompt_builder.tokenizer, text or "")
