"""The teacher's pass made by an inference server: log-probs of the sampled tokens, and no more.

Shapes: T tokens of a completion, H hidden size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from scgrpo.credit.reading import Reader, Seconds, timed
from scgrpo.credit.scoring import Score, Scorer, ScoreRequest, Taught
from scgrpo.teachers.policy import evaluation_mode


class Served(Protocol):
    """A server that has the weights of the policy that sampled."""

    def __call__(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
    ) -> list[list[float]]:
        """Log-probs `(T)` of each completion behind its prompt, nats; all processes call it."""
        ...


@dataclass(frozen=True, kw_only=True)
class ServedScorer(Scorer):
    """A scorer whose teacher is asked by its prompts alone: no D, and no likeliest tokens."""

    served: Served

    @torch.no_grad()
    def score(self, requests: Sequence[ScoreRequest]) -> tuple[list[Score], Seconds]:
        """Opinions on each completion, see `Scorer.score`."""
        seconds = {"student_pass": 0.0, "teacher_pass": 0.0}
        device = next(self.student.module.parameters()).device
        told = self._told(requests, seconds)
        heads = self.heads.gathered()
        scores: dict[int, Score] = {}
        with evaluation_mode(self.student.wrapped()):
            for rows, states in self._student_states(requests, seconds):
                ids = [torch.tensor([*requests[row].completion], device=device) for row in rows]
                logps = heads.logps(torch.cat([*states]), torch.cat(ids), of_teacher=False)
                parts = logps.split([*map(len, ids)])
                for row, states_TH, ids_T, own_T in zip(rows, states, ids, parts, strict=True):
                    request = replace(requests[row], inspect=False)
                    known = None, torch.stack(told[row]), own_T
                    scores[row] = self._score_one(request, states_TH, (), ids_T, known)
        return [scores[i] for i in range(len(requests))], seconds

    def taught(
        self, requests: Sequence[ScoreRequest], asked: Sequence[Tensor]
    ) -> tuple[list[Taught], Seconds]:
        """The teachers' log-probs, see `Scorer.taught`; there are no states to keep."""
        seconds = {"teacher_pass": 0.0}
        told = self._told(requests, seconds)
        return [Taught(torch.stack(logps).mean(0)) for logps in told], seconds

    def _told(self, requests: Sequence[ScoreRequest], seconds: Seconds) -> list[list[Tensor]]:
        """Log-probs `(T)` of each completion by each of its teachers."""
        device = next(self.student.module.parameters()).device
        with timed(seconds, "teacher_pass"):
            told = iter(
                self.served(
                    [prompt for r in requests for prompt in r.shown],
                    [r.completion for r in requests for _ in r.shown],
                )
            )
        return [[torch.tensor(next(told), device=device) for _ in r.shown] for r in requests]

    def _student_states(
        self, requests: Sequence[ScoreRequest], seconds: Seconds
    ) -> Iterator[tuple[Sequence[int], Sequence[Tensor]]]:
        """Rows, and the states `(T, H)` that predict their completions."""
        hidden = [r.student_hidden for r in requests]
        if self.world.largest(int(any(states is None for states in hidden))):
            student = Reader("student_pass", self.student, [[r.student_prompt] for r in requests])
            completions = [r.completion for r in requests]
            for rows, (states,) in self._reading([student], completions, seconds):
                yield rows, [own_TH for (own_TH,) in states]
        elif requests:
            yield range(len(requests)), [states for states in hidden if states is not None]
