"""One pass of the teacher and one of the student over the same completions -> D (section 2)."""

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

TopTokens = tuple[Tensor, Tensor]
"""Probabilities and ids `(T, K)` of the likeliest next tokens."""


@dataclass(frozen=True)
class ScoreRequest:
    """One completion to be scored behind the student's and behind the teacher's prompt."""

    student_prompt: Sequence[int]
    teacher_prompt: Sequence[int]
    completion: Sequence[int]
    student_hidden: Tensor | None = None
    """`(T, H)` states that predict the completion, where a student pass was made already."""
    want_top_tokens: bool = False

    @property
    def padded_length(self) -> int:
        return max(len(self.student_prompt), len(self.teacher_prompt)) + len(self.completion)


@dataclass(frozen=True)
class Score:
    """D of one completion, in nats, `(T)` float32 on the model's device."""

    kl: Tensor
    student_top: TopTokens | None = None
    teacher_top: TopTokens | None = None


class Head(Protocol):
    """What the scorer needs of an output head, applied to hidden states `(M, H)`."""

    def divergence(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        """KL(teacher || student) of each row, `(M)` nats."""
        ...

    def top_tokens(self, hidden: Tensor) -> TopTokens:
        """Likeliest next tokens of each row."""
        ...


@dataclass
class Scorer:
    """Scores completions in micro-batches: no gradient, no dropout, longest first."""

    model: nn.Module
    """What is called: the policy, wrapped as the trainer wraps it."""
    backbone: nn.Module
    """Part of it whose output is the last hidden state."""
    head: Head
    forward_options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the forward, see `head_options`."""
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
            requests: completions with at least one token each.

        Returns:
            One score per request, in the order of the requests.
        """
        scores: dict[int, Score] = {}
        batches = list(_micro_batches(requests, self.max_tokens))
        # All processes must agree on skipping the student pass, so one that has nothing to
        # score follows the others' number of passes, not its own requests.
        passes = self.batches_everywhere(sum(1 + _needs_student(requests, b) for b in batches))
        with evaluation_mode(self.model):
            for batch in batches:
                chosen = [requests[i] for i in batch]
                scores |= zip(batch, self._score_batch(chosen), strict=True)
            done = sum(1 + _needs_student(requests, b) for b in batches)
            for _ in range(passes - done):
                last_hidden_states(self.model, self.backbone, [[0]], [[0]], self.forward_options)
        return [scores[i] for i in range(len(requests))]

    def _score_batch(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        lengths = [len(r.completion) for r in requests]
        known = [r.student_hidden for r in requests if r.student_hidden is not None]
        if len(known) == len(requests):
            student = torch.cat(known)
        else:
            with self._timed("student_pass"):
                student = self._pass([r.student_prompt for r in requests], requests)
        with self._timed("teacher_pass"):
            teacher = self._pass([r.teacher_prompt for r in requests], requests)
            kls = self.head.divergence(teacher, student).split(lengths)
        hidden = zip(student.split(lengths), teacher.split(lengths), strict=True)
        return [
            Score(kl, self.head.top_tokens(s), self.head.top_tokens(t))
            if request.want_top_tokens
            else Score(kl)
            for request, kl, (s, t) in zip(requests, kls, hidden, strict=True)
        ]

    def _pass(self, prompts: list[Sequence[int]], requests: Sequence[ScoreRequest]) -> Tensor:
        completions = [r.completion for r in requests]
        return last_hidden_states(
            self.model, self.backbone, prompts, completions, self.forward_options
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds[name] += time.perf_counter() - start


def last_hidden_states(
    model: nn.Module,
    backbone: nn.Module,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    forward_options: dict[str, Any] | None = None,
) -> Tensor:
    """Hidden states from which each completion token was predicted.

    Sequences are padded on the right, so that every token has the position that it had when it
    was sampled, whatever the position encoding.

    Args:
        model: causal language model, possibly wrapped.
        backbone: its part that ends before the output head.
        prompts: token ids, at least one each.
        completions: token ids.
        forward_options: further arguments of the forward.

    Returns:
        `(M, H)`, the completions one after the other, M their total length.
    """
    device = next(model.parameters()).device
    rows = [torch.tensor([*p, *c]) for p, c in zip(prompts, completions, strict=True)]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    with captured_hidden_states(backbone) as captured:
        model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            use_cache=False,
            **(forward_options or {}),
        )
    # The state at position j predicts token j + 1.
    states = [
        captured[0][row, len(p) - 1 : len(p) + len(c) - 1]
        for row, (p, c) in enumerate(zip(prompts, completions, strict=True))
    ]
    return torch.cat(states)


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
    while order:
        size = max(1, max_tokens // requests[order[0]].padded_length)
        yield order[:size]
        order = order[size:]
