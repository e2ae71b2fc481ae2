"""One pass of the teacher and one of the student over the same completions -> D (section 2)."""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

TopTokens = tuple[Tensor, Tensor]
"""Probabilities and ids `(T, K)` of the likeliest next tokens."""


@dataclass
class Policy:
    """A causal language model whose last hidden states can be had."""

    model: nn.Module
    """What is called: wrapped as the trainer wraps it."""
    backbone: nn.Module
    """Part of it whose output is the last hidden state."""
    forward_options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the forward, see `head_options`."""
    around: Callable[[], AbstractContextManager[Any]] = nullcontext
    """Entered around each forward, to turn adapters off for instance."""

    def hidden_states(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
    ) -> Tensor:
        """Hidden states from which each completion token was predicted.

        Sequences are padded on the right, so that every token has the position that it had when it
        was sampled, whatever the position encoding.

        Args:
            prompts: token ids, at least one each.
            completions: token ids.

        Returns:
            `(M, H)`, the completions one after the other, M their total length.
        """
        device = next(self.model.parameters()).device
        rows = [torch.tensor([*p, *c]) for p, c in zip(prompts, completions, strict=True)]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        with self.around(), captured_hidden_states(self.backbone) as captured:
            self.model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device),
                use_cache=False,
                **self.forward_options,
            )
        # The state at position j predicts token j + 1.
        states = [
            captured[0][row, len(p) - 1 : len(p) + len(c) - 1]
            for row, (p, c) in enumerate(zip(prompts, completions, strict=True))
        ]
        return torch.cat(states)


@dataclass(frozen=True)
class ScoreRequest:
    """One completion to be scored behind the student's and behind each teacher's prompt."""

    student_prompt: Sequence[int]
    teacher_prompts: Sequence[Sequence[int]]
    completion: Sequence[int]
    student_hidden: Tensor | None = None
    """`(T, H)` states that predict the completion, where a student pass was made already."""
    want_top_tokens: bool = False

    @property
    def padded_length(self) -> int:
        longest = max(map(len, (self.student_prompt, *self.teacher_prompts)))
        return longest + len(self.completion)


@dataclass(frozen=True)
class Score:
    """What the passes say of one completion; float32, on the model's device."""

    kl: Tensor
    """`(R, T)` D in nats, by each of the R teachers."""
    signals: dict[str, Tensor] = field(default_factory=dict)
    """`(T)` those of `entropy`, `logp` and `disagreement` that were asked for."""
    student_top: TopTokens | None = None
    teacher_top: TopTokens | None = None
    """Of the first teacher."""


class Heads(Protocol):
    """What the scorer needs of the output heads, applied to hidden states `(M, H)`."""

    def divergence(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        """KL(teacher || student) of each row, `(M)` nats."""
        ...

    def disagreement(self, teacher_hidden: Tensor) -> Tensor:
        """Of teachers `(J, M, H)`, `(M)` nats."""
        ...

    def statistics(self, student_hidden: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of the tokens and entropy, `(M)` nats each."""
        ...

    def top_tokens(self, hidden: Tensor, *, of_teacher: bool) -> TopTokens:
        """Likeliest next tokens of each row."""
        ...


@dataclass
class Scorer:
    """Scores completions in micro-batches: no gradient, no dropout, longest first."""

    student: Policy
    teacher: Policy
    heads: Heads
    signals: frozenset[str] = frozenset()
    """Signals wanted beside D: `entropy`, `logp`, `disagreement`."""
    max_tokens: int = 16384
    """Padded tokens in one micro-batch; a longer completion goes alone."""
    batches_everywhere: Callable[[int], int] = int
    """Largest of the processes' numbers of micro-batches: a sharded model must be called equally
    often by all of them."""
    seconds: dict[str, float] = field(
        default_factory=lambda: {"student_pass": 0.0, "teacher_pass": 0.0}
    )

    @torch.no_grad()
    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """D of each completion: position t holds the divergence that produced token t.

        Args:
            requests: completions with at least one token and one teacher each.

        Returns:
            One score per request, in the order of the requests.
        """
        scores: dict[int, Score] = {}
        batches = list(_micro_batches(requests, self.max_tokens))
        student = sum(_needs_student(requests, batch) for batch in batches)
        with evaluation_mode(self.student.model), evaluation_mode(self.teacher.model):
            for batch in batches:
                chosen = [requests[i] for i in batch]
                scores |= zip(batch, self._score_batch(chosen), strict=True)
            # A process with less to score makes empty passes, in the same order as the others.
            student_left = self.batches_everywhere(student) - student
            for left in range(self.batches_everywhere(len(batches)) - len(batches)):
                if left < student_left:
                    self.student.hidden_states([[0]], [[0]])
                self.teacher.hidden_states([[0]], [[0]])
        return [scores[i] for i in range(len(requests))]

    def _score_batch(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        lengths = [len(r.completion) for r in requests]
        completions = [r.completion for r in requests]
        known = [r.student_hidden for r in requests if r.student_hidden is not None]
        if len(known) == len(requests):
            student = list(known)
        else:
            with self._timed("student_pass"):
                prompts = [r.student_prompt for r in requests]
                hidden = self.student.hidden_states(prompts, completions)
            student = list(hidden.split(lengths))
        with self._timed("teacher_pass"):
            shown = [(row, p) for row, r in enumerate(requests) for p in r.teacher_prompts]
            rows = [row for row, _ in shown]
            hidden = self.teacher.hidden_states(
                [p for _, p in shown], [completions[row] for row in rows]
            )
            kl = self.heads.divergence(hidden, torch.cat([student[row] for row in rows]))
        by_teacher = zip(
            rows, *(x.split([lengths[row] for row in rows]) for x in (kl, hidden)), strict=True
        )
        taught: dict[int, list[tuple[Tensor, Tensor]]] = {}
        for row, kl_T, teacher_TH in by_teacher:
            taught.setdefault(row, []).append((kl_T, teacher_TH))
        return [
            self._score_one(request, student[row], taught[row])
            for row, request in enumerate(requests)
        ]

    def _score_one(
        self, request: ScoreRequest, student_TH: Tensor, taught: list[tuple[Tensor, Tensor]]
    ) -> Score:
        kl_RT = torch.stack([kl_T for kl_T, _ in taught])
        signals = {}
        if self.signals & {"entropy", "logp"}:
            ids = torch.tensor(list(request.completion), device=student_TH.device)
            signals["logp"], signals["entropy"] = self.heads.statistics(student_TH, ids)
        if "disagreement" in self.signals:
            signals["disagreement"] = self.heads.disagreement(torch.stack([h for _, h in taught]))
        if not request.want_top_tokens:
            return Score(kl_RT, signals)
        return Score(
            kl_RT,
            signals,
            student_top=self.heads.top_tokens(student_TH, of_teacher=False),
            teacher_top=self.heads.top_tokens(taught[0][1], of_teacher=True),
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[name] += time.perf_counter() - start


@contextmanager
def captured_hidden_states(backbone: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the last hidden states `(B, L, H)` of every forward of the backbone."""
    captured: list[Tensor] = []
    handle = backbone.register_forward_hook(lambda *call: captured.append(call[-1][0]))
    try:
        yield captured
    finally:
        handle.remove()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn dropout off; afterwards every module is in the mode in which it was."""
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in was_training:
            module.training = True


def find_backbone(model: PreTrainedModel) -> nn.Module:
    """The part of a causal language model that ends before its output head.

    Raises:
        ValueError: for a model that has no such part.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    backbone = base.base_model
    if backbone is base or base.get_output_embeddings() is None:
        raise ValueError(
            f"{type(base).__name__} has no backbone apart from its output head; SC-GRPO needs a "
            "causal language model of transformers, such as AutoModelForCausalLM loads."
        )
    return backbone


def head_options(model: PreTrainedModel) -> dict[str, Any]:
    """Arguments that keep the forward from projecting every position onto the vocabulary."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    accepted = inspect.signature(type(base).forward).parameters
    return {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}


def _needs_student(requests: Sequence[ScoreRequest], batch: Sequence[int]) -> bool:
    return any(requests[i].student_hidden is None for i in batch)


def _micro_batches(requests: Sequence[ScoreRequest], max_tokens: int) -> Iterator[list[int]]:
    """Indices of requests, longest first, in batches of at most max_tokens padded tokens."""
    order = sorted(range(len(requests)), key=lambda i: -requests[i].padded_length)
    most = max((len(request.teacher_prompts) for request in requests), default=1)
    while order:
        size = max(1, max_tokens // (requests[order[0]].padded_length * most))
        yield order[:size]
        order = order[size:]
