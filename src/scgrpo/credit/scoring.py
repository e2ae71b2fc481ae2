"""The passes of teacher and student over the same completions -> D and the other signals.

Shapes: R teachers of a completion, T tokens of it, M of several, H hidden size, K top tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from scgrpo.credit.reading import Reader, Reading, Seconds, States, Tokens, timed
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
    """What is kept of the teachers' passes until the student's states are there."""

    logp: Tensor | None = None
    """`(T)` log-probability of the sampled tokens, over several teachers their mean, nats."""
    states: Tensor | None = None
    """With D instead: `(R, A, H)` of each teacher at the A tokens that are asked for."""


class Heads(Protocol):
    """What is needed of the output heads, applied to hidden states `(M, H)`."""

    def gathered(self) -> "Heads":
        """The heads whole on each process; all processes call it, whatever they have to ask."""
        ...

    def divergence(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        """KL(teacher || student) of each row, `(M)` nats."""
        ...

    def comparison(
        self, teacher_hidden: Tensor, student_hidden: Tensor, token_ids: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """D and log-probs by teachers `(R, M, H)`, `(R, M)`, and log-probs by the student `(M)`."""
        ...

    def rounds(self, hidden: Tensor) -> bool:
        """Whether TRL's head of the loss rounds the logits of such states."""
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


Compared = tuple[Tensor | None, Tensor, Tensor]
"""D `(R, T)` where it is wanted, log-probs `(R, T)` by the teachers and `(T)` by the student."""


def compare(
    heads: Heads, taught: Sequence[Tensor], student: Sequence[Tensor], ids: Sequence[Tensor]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """D and log-probs of some completions, one pass of each head over all of them.

    Args:
        heads: of teacher and student.
        taught: `(R, T, H)` of each completion, by as many teachers as it has.
        student: `(T, H)`.
        ids: `(T)` the sampled tokens.
    """
    found = {}
    for count in {len(states_RTH) for states_RTH in taught}:
        rows = [row for row, states_RTH in enumerate(taught) if len(states_RTH) == count]
        lengths = [len(ids[row]) for row in rows]
        kl, theirs, own = heads.comparison(
            torch.cat([taught[row] for row in rows], 1),
            torch.cat([student[row] for row in rows]),
            torch.cat([ids[row] for row in rows]),
        )
        parts = zip(kl.split(lengths, 1), theirs.split(lengths, 1), own.split(lengths), strict=True)
        found |= dict(zip(rows, parts, strict=True))
    return [found[row] for row in range(len(taught))]


def offloaded(states: Tensor) -> Tensor:
    """A copy in pinned memory of the CPU, for which nobody waits; states on the CPU stay."""
    if not states.is_cuda:
        return states
    kept = torch.empty(states.shape, dtype=states.dtype, pin_memory=True)
    return kept.copy_(states, non_blocking=True)


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
    offloads_states: bool = False
    """Whether the states that `taught` returns lie on the CPU."""

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
        found: dict[int, Taught] = {}
        heads = None if self.divergence else self.heads.gathered()
        with evaluation_mode(self.teacher.wrapped()):
            for rows, (states,) in self._reading(readers, completions, seconds):
                with timed(seconds, "teacher_pass"):
                    if heads is None:
                        both = zip(rows, states, strict=True)
                        kept = [torch.stack([o[asked[row]] for o in some]) for row, some in both]
                        kept = [*map(offloaded, kept)] if self.offloads_states else kept
                        taught = [Taught(states=states_RAH) for states_RAH in kept]
                    else:
                        taught = _said(heads, states, [completions[row] for row in rows])
                    found |= zip(rows, taught, strict=True)
        return [found[row] for row in range(len(requests))], seconds

    def _scores(
        self,
        requests: Sequence[ScoreRequest],
        student: Sequence[Tensor],
        taught: Sequence[Sequence[Tensor]],
    ) -> list[Score]:
        """From the states of each completion by its student and by each of its teachers."""
        device = student[0].device
        ids = [torch.tensor(list(r.completion), device=device) for r in requests]
        if self.divergence:
            compared = compare(self.heads, [torch.stack([*some]) for some in taught], student, ids)
        else:
            compared = [(None, *both) for both in self._logps(student, taught, ids)]
        return [
            self._score_one(request, student[row], taught[row], ids[row], compared[row])
            for row, request in enumerate(requests)
        ]

    def _logps(
        self,
        student: Sequence[Tensor],
        taught: Sequence[Sequence[Tensor]],
        ids: Sequence[Tensor],
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Log-probs of each completion by its teachers `(R, T)` and by its student `(T)`."""
        own = self.heads.logps(torch.cat([*student]), torch.cat([*ids]), of_teacher=False)
        rows = [row for row, some in enumerate(taught) for _ in some]
        others = self.heads.logps(
            torch.cat([teacher_TH for some in taught for teacher_TH in some]),
            torch.cat([ids[row] for row in rows]),
            of_teacher=True,
        )
        parts = iter(others.split([len(ids[row]) for row in rows]))
        for own_T, some in zip(own.split([*map(len, ids)]), taught, strict=True):
            yield torch.stack([next(parts) for _ in some]), own_T

    def _score_one(
        self,
        request: ScoreRequest,
        student_TH: Tensor,
        taught: Sequence[Tensor],
        ids: Tensor,
        compared: Compared,
    ) -> Score:
        """What is known of one completion, by all that it was shown."""
        kl_RT, teacher_RT, student_T = compared
        count = len(request.teacher_prompts)
        signals = {}
        if self.signals & {"entropy", "logp"}:
            signals["logp"], signals["entropy"] = self.heads.statistics(student_TH, ids)
        if "disagreement" in self.signals:
            signals["disagreement"] = self.heads.disagreement(torch.stack([*taught[:count]]))
        if self.signals & {*OPINIONS, *CONTRASTS}:
            signals["teacher_logp"] = teacher_RT[:count].mean(0)
            signals["log_ratio"] = signals["teacher_logp"] - student_T
        if request.contrast_prompt is not None:
            signals["contrast_log_ratio"] = teacher_RT[0] - teacher_RT[-1]
            if "contrast_kl" in self.signals:
                signals["contrast_kl"] = self.heads.contrast(taught[0], taught[-1])
        kl_RT = None if kl_RT is None else kl_RT[:count]
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


def _said(heads: Heads, states: Sequence[States], completions: Sequence[Tokens]) -> list[Taught]:
    """Mean log-prob of each completion by its teachers."""
    lengths = [len(c) for c, some in zip(completions, states, strict=True) for _ in some]
    told = [i for c, some in zip(completions, states, strict=True) for _ in some for i in c]
    parts = torch.cat([one for some in states for one in some])
    ids = torch.tensor(told, device=parts.device)
    each = iter(heads.logps(parts, ids, of_teacher=True).split(lengths))
    return [Taught(torch.stack([next(each) for _ in some]).mean(0)) for some in states]
