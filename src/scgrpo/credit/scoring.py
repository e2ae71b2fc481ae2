"""The passes of teacher and student over the same completions -> D and the other signals.

Shapes: R teachers of a completion, T tokens of it, M of several, H hidden size, K top tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from scgrpo.credit.reading import Reader, Reading, Seconds, timed
from scgrpo.teachers.policy import Policy, evaluation_mode
from scgrpo.world import World

TopTokens = tuple[Tensor, Tensor]
"""Probabilities and ids `(T, K)` of the likeliest next tokens."""
OPINIONS = ("log_ratio", "teacher_logp")
CONTRASTS = ("contrast_kl", "contrast_log_ratio")
SCORED = ("entropy", "logp", "disagreement", *OPINIONS, *CONTRASTS)
"""Signals that are computed beside D, where they are asked for."""


@dataclass(frozen=True)
class ScoreRequest:
    """One completion to be scored behind the student's and behind each teacher's prompt."""

    student_prompt: Sequence[int]
    teacher_prompts: Sequence[Sequence[int]]
    completion: Sequence[int]
    student_hidden: Tensor | None = None
    """`(T, H)` states that predict the completion, where a student pass was made already."""
    inspect: bool = False
    contrast_prompt: Sequence[int] | None = None
    """Of a second teacher, to which the first is compared."""

    @property
    def shown(self) -> Sequence[Sequence[int]]:
        """The prompts of all teachers, that of the second one last."""
        contrast = () if self.contrast_prompt is None else (self.contrast_prompt,)
        return (*self.teacher_prompts, *contrast)


@dataclass(frozen=True)
class Inspection:
    """What both distributions say at each token of a completion; float32, on the model's device."""

    student_top: TopTokens
    teacher_top: TopTokens
    student_logp: Tensor
    """`(T)` log-probability of the sampled tokens, nats."""
    teacher_logp: Tensor
    """Likewise, of the first teacher."""


@dataclass(frozen=True)
class Score:
    """What the passes say of one completion; float32, on the model's device."""

    kl: Tensor | None
    """`(R, T)` D in nats, by each of the R teachers; None where it is not wanted."""
    signals: dict[str, Tensor] = field(default_factory=dict)
    """`(T)` those of `SCORED` that were asked for."""
    inspection: Inspection | None = None
    """Where it was asked for."""


@dataclass(frozen=True)
class Taught:
    """What the teachers' passes alone say of one completion."""

    logp: Tensor
    """`(T)` log-probability of the sampled tokens, over several teachers their mean, nats."""
    states: Tensor | None
    """`(R, A, H)` of each teacher at the A tokens that are asked for; None without D."""


class Heads(Protocol):
    """What is needed of the output heads, applied to hidden states `(M, H)`."""

    def gathered(self) -> "Heads":
        """The heads whole on each process; all processes call it, whatever they have to ask."""
        ...

    def divergence(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        """KL(teacher || student) of each row, `(M)` nats."""
        ...

    def clipped_divergence(
        self, teacher_hidden: Tensor, student_hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Divergence of each row as it enters a loss, and before it was clipped, `(M)` nats."""
        ...

    def disagreement(self, teacher_hidden: Tensor) -> Tensor:
        """Of teachers `(J, M, H)`, `(M)` nats."""
        ...

    def contrast(self, teacher_hidden: Tensor, other_hidden: Tensor) -> Tensor:
        """KL of two teachers, `(M)` nats."""
        ...

    def logps(self, hidden: Tensor, token_ids: Tensor, *, of_teacher: bool) -> Tensor:
        """Log-probability of the tokens, `(M)` nats."""
        ...

    def statistics(
        self, hidden: Tensor, token_ids: Tensor, *, of_teacher: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of the tokens and entropy, `(M)` nats each."""
        ...

    def top_tokens(self, hidden: Tensor, *, of_teacher: bool) -> TopTokens:
        """Likeliest next tokens of each row."""
        ...


@dataclass(frozen=True)
class Scorer:
    """Scores completions in micro-batches: no gradient, no dropout, longest first."""

    student: Policy
    teacher: Policy
    heads: Heads
    world: World
    signals: frozenset[str] = frozenset()
    """Those of `SCORED` that are wanted beside D."""
    divergence: bool = True
    """Whether D is wanted, the only one of all that needs the whole vocabulary of both."""
    max_tokens: int = 16384
    """Padded tokens in one micro-batch; a longer completion goes alone."""
    shares_prompts: bool = True
    """Whether prompts that several completions share are read once."""

    @cached_property
    def _reading(self) -> Reading:
        return Reading(self.world, self.max_tokens, self.shares_prompts)

    @torch.no_grad()
    def score(self, requests: Sequence[ScoreRequest]) -> tuple[list[Score], Seconds]:
        """D of each completion: position t holds the divergence that produced token t.

        Args:
            requests: completions with at least one token and one teacher each.

        Returns:
            One score per request, in the order of the requests, and the seconds of both passes.
        """
        seconds = {"student_pass": 0.0, "teacher_pass": 0.0}
        readers = [Reader("teacher_pass", self.teacher, [r.shown for r in requests])]
        if self.world.largest(int(any(r.student_hidden is None for r in requests))):
            student = Reader("student_pass", self.student, [[r.student_prompt] for r in requests])
            readers.insert(0, student)
        completions = [r.completion for r in requests]
        scorer = replace(self, heads=self.heads.gathered())
        scores: dict[int, Score] = {}
        with evaluation_mode(self.student.wrapped()), evaluation_mode(self.teacher.wrapped()):
            for rows, states in self._reading(readers, completions, seconds):
                chosen = [requests[row] for row in rows]
                own = [r.student_hidden for r in chosen if r.student_hidden is not None]
                if len(readers) > 1:
                    own = [states_TH for (states_TH,) in states[0]]
                with timed(seconds, "teacher_pass"):
                    scores |= zip(rows, scorer._scores(chosen, own, states[-1]), strict=True)
        return [scores[i] for i in range(len(requests))], seconds

    @torch.no_grad()
    def taught(
        self, requests: Sequence[ScoreRequest], asked: Sequence[Tensor]
    ) -> tuple[list[Taught], Seconds]:
        """What is needed of the teachers where the student's states come later.

        Args:
            requests: as of `score`.
            asked: `(T)` of each completion, the tokens of which D is wanted.

        Returns:
            One for each request, in the order of the requests, and the seconds of the pass.
        """
        seconds = {"teacher_pass": 0.0}
        readers = [Reader("teacher_pass", self.teacher, [r.shown for r in requests])]
        completions = [r.completion for r in requests]
        heads, found = self.heads.gathered(), {}
        with evaluation_mode(self.teacher.wrapped()):
            for rows, (states,) in self._reading(readers, completions, seconds):
                with timed(seconds, "teacher_pass"):
                    parts = [one for some in states for one in some]
                    both = zip(rows, states, strict=True)
                    told = [completions[row] for row, some in both for _ in some]
                    ids = torch.tensor([i for c in told for i in c], device=parts[0].device)
                    logps = heads.logps(torch.cat(parts), ids, of_teacher=True)
                    each = iter(logps.split([*map(len, told)]))
                    for row, some in zip(rows, states, strict=True):
                        logp_T = torch.stack([next(each) for _ in some]).mean(0)
                        kept = [one[asked[row]] for one in some] if self.divergence else []
                        found[row] = Taught(logp_T, torch.stack(kept) if kept else None)
        return [found[row] for row in range(len(requests))], seconds

    def _scores(
        self,
        requests: Sequence[ScoreRequest],
        student: Sequence[Tensor],
        taught: Sequence[Sequence[Tensor]],
    ) -> list[Score]:
        """From the states of each completion by its student and by each of its teachers."""
        kl = self._divergences(requests, student, taught)
        logps = self._logps(requests, student, taught)
        return [
            self._score_one(request, student[row], taught[row], kl[row], logps[row])
            for row, request in enumerate(requests)
        ]

    def _divergences(
        self,
        requests: Sequence[ScoreRequest],
        student: Sequence[Tensor],
        taught: Sequence[Sequence[Tensor]],
    ) -> list[Tensor | None]:
        """D `(R, T)` of each request."""
        if not self.divergence:
            return [None] * len(requests)
        rows = [row for row, r in enumerate(requests) for _ in r.teacher_prompts]
        firsts = [one[: len(r.teacher_prompts)] for one, r in zip(taught, requests, strict=True)]
        kl = self.heads.divergence(
            torch.cat([teacher_TH for some in firsts for teacher_TH in some]),
            torch.cat([student[row] for row in rows]),
        )
        parts = iter(kl.split([len(requests[row].completion) for row in rows]))
        return [torch.stack([next(parts) for _ in some]) for some in firsts]

    def _logps(
        self,
        requests: Sequence[ScoreRequest],
        student: Sequence[Tensor],
        taught: Sequence[Sequence[Tensor]],
    ) -> list[list[Tensor]]:
        """Log-probs `(T)` of each completion, by its student and by each of its teachers."""
        if not self.signals & {*OPINIONS, *CONTRASTS}:
            return [[] for _ in requests]
        device = student[0].device
        ids = [torch.tensor(list(r.completion), device=device) for r in requests]
        lengths = [*map(len, ids)]
        own = self.heads.logps(torch.cat([*student]), torch.cat(ids), of_teacher=False)
        rows = [row for row, some in enumerate(taught) for _ in some]
        others = self.heads.logps(
            torch.cat([teacher_TH for some in taught for teacher_TH in some]),
            torch.cat([ids[row] for row in rows]),
            of_teacher=True,
        )
        parts = iter(others.split([lengths[row] for row in rows]))
        return [
            [own_T, *(next(parts) for _ in some)]
            for own_T, some in zip(own.split(lengths), taught, strict=True)
        ]

    def _score_one(
        self,
        request: ScoreRequest,
        student_TH: Tensor,
        taught: Sequence[Tensor],
        kl_RT: Tensor | None,
        logps: Sequence[Tensor],
    ) -> Score:
        """What is known of one completion, from states and log-probs of each of its teachers."""
        count = len(request.teacher_prompts)
        signals = {}
        ids = torch.tensor(list(request.completion), device=student_TH.device)
        if self.signals & {"entropy", "logp"}:
            signals["logp"], signals["entropy"] = self.heads.statistics(student_TH, ids)
        if "disagreement" in self.signals:
            signals["disagreement"] = self.heads.disagreement(torch.stack([*taught[:count]]))
        if logps:
            signals["teacher_logp"] = torch.stack([*logps[1 : count + 1]]).mean(0)
            signals["log_ratio"] = signals["teacher_logp"] - logps[0]
        if request.contrast_prompt is not None:
            signals["contrast_log_ratio"] = logps[1] - logps[-1]
            if "contrast_kl" in self.signals:
                signals["contrast_kl"] = self.heads.contrast(taught[0], taught[-1])
        if not request.inspect:
            return Score(kl_RT, signals)
        return Score(kl_RT, signals, self._inspect(student_TH, taught[0], ids))

    def _inspect(self, student_TH: Tensor, teacher_TH: Tensor, ids: Tensor) -> Inspection:
        return Inspection(
            self.heads.top_tokens(student_TH, of_teacher=False),
            self.heads.top_tokens(teacher_TH, of_teacher=True),
            self.heads.logps(student_TH, ids, of_teacher=False),
            self.heads.logps(teacher_TH, ids, of_teacher=True),
        )
