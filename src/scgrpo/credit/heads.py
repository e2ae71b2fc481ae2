"""The output heads for scorer and losses: TRL's kernel on a GPU, else plain torch.

Hidden states and weights may be of half precision; their product, the logits, and all that is made
of them is float32 on either path.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial
from torch.nn.functional import linear
from trl.kernels.chunked_divergence import ChunkedDivergenceFunction
from trl.trainer.utils import maybe_gather_lm_head_ctx

from scgrpo.method import (
    chunked_comparison,
    chunked_disagreement,
    chunked_divergence,
    chunked_logps,
    chunked_statistics,
    chunked_top_tokens,
    clipped_divergence,
    entry_clipped,
)
from scgrpo.method.chunked import Head
from scgrpo.method.divergence import summed

_LOGITS = {"cpu": 2**22}
"""Of float32 that stand at once, of which a divergence holds about seven times as many."""
_LOGITS_ELSEWHERE = 2**27
"""Where a chunk of few tokens would take as long as one of many."""


@dataclass(frozen=True)
class PolicyHeads:
    """Divergences and statistics from hidden states; the vocabulary never stands in full.

    The gradient flows to the student's hidden states and head, where gradients are on.
    """

    student: "nn.Module | WholeHead"
    teacher: "nn.Module | WholeHead"
    """The student itself where both are the same weights."""
    temperature: float
    kind: str = "forward"
    beta: float = 0.5
    clip: float | None = None
    """Largest divergence in a loss, in nats; None for no clipping."""
    clip_of: str = "entry"
    """What is clipped: the part of each vocabulary `entry`, or the sum of a `token`."""
    top_k: int = 5
    in_float32: bool = False
    """Whether mixed precision ends before the heads (TRL's `cast_lm_head_to_fp32`)."""

    def gathered(self) -> "PolicyHeads":
        """The same heads, whole on each process, to be asked without gradient.

        Where the models are sharded this is what the processes do together: all of them call it,
        and each may then ask as often as it likes.
        """
        student = WholeHead.of(self.student)
        teacher = student if self.teacher is self.student else WholeHead.of(self.teacher)
        return replace(self, student=student, teacher=teacher)

    def divergence(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        """Divergence of each row `(M, H)`, in nats, `(M)` float32."""
        # The kernel's backward gathers a sharded head again, and on each process, taught or not.
        if student_hidden.is_cuda or _is_sharded(self.student):
            return self._by_kernel(teacher_hidden, student_hidden)
        return self._by_chunks(teacher_hidden, student_hidden, summed)

    def comparison(
        self, teacher_hidden: Tensor, student_hidden: Tensor, token_ids: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """KL(teacher || student) `(R, M)`, and log-probs by teachers `(R, M)` and student `(M)`.

        Args:
            teacher_hidden: `(R, M, H)`.
            student_hidden: `(M, H)`.
            token_ids: `(M)` the sampled tokens.
        """
        shape = teacher_hidden.shape[:2]
        if student_hidden.is_cuda:
            shown, asked = teacher_hidden.flatten(0, 1), token_ids.repeat(shape[0])
            kl = self.divergence(shown, student_hidden.repeat(shape[0], 1))
            theirs = self.logps(shown, asked, of_teacher=True)
            own = self.logps(student_hidden, token_ids, of_teacher=False)
            return kl.view(shape), theirs.view(shape), own
        with (
            self._head(self.teacher, teacher_hidden) as teacher_head,
            self._head(self.student, student_hidden) as student_head,
        ):
            heads = teacher_hidden, teacher_head, student_hidden, student_head
            return chunked_comparison(
                *heads, token_ids, **self._chunks(self.student, student_hidden)
            )

    def rounds(self, hidden: Tensor) -> bool:
        """Whether TRL's head of the loss rounds the logits of such states, as ours never does."""
        if self.in_float32:
            return False
        device = hidden.device.type
        mixed = torch.is_autocast_enabled(device)
        return (torch.get_autocast_dtype(device) if mixed else hidden.dtype).itemsize < 4

    def clipped_divergence(
        self, teacher_hidden: Tensor, student_hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Divergence of each row `(M, H)` as it enters a loss, and before it was clipped.

        Both are `(M)` float32, in nats.
        """
        if self.clip is not None and self.clip_of == "entry":  # which TRL's kernel cannot do
            clip = partial(entry_clipped, clip=self.clip)
            clipped, whole = self._by_chunks(teacher_hidden, student_hidden, clip).unbind(-1)
            return clipped, whole.detach()
        whole = self.divergence(teacher_hidden, student_hidden)
        return clipped_divergence(whole, self.clip), whole.detach()

    def _by_chunks(
        self, teacher_hidden: Tensor, student_hidden: Tensor, reduce: Callable[[Tensor], Tensor]
    ) -> Tensor:
        if not len(student_hidden) and _is_sharded(self.student):
            # The backward of a sharded head is made together, by who teaches nothing as well.
            shown, read = (h.new_zeros(1, h.shape[1]) for h in (teacher_hidden, student_hidden))
            return self._by_chunks(shown, read, reduce)[:0]
        with (
            self._head(self.teacher, teacher_hidden) as teacher_head,
            self._head(self.student, student_hidden) as student_head,
        ):
            return chunked_divergence(
                teacher_hidden,
                teacher_head,
                student_hidden,
                student_head,
                self.kind,
                beta=self.beta,
                temperature=self.temperature,
                reduce=reduce,
                chunk_tokens=_chunk_tokens(self.student, student_hidden),
            )

    def _by_kernel(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        student, teacher = LogitTransform.of(self.student), LogitTransform.of(self.teacher)
        same = self.teacher is self.student
        with (
            _weights(self.student) as own,
            nullcontext(own) if same else _weights(self.teacher) as others,
        ):
            read = student_hidden.to(self._dtype(student_hidden, own[0]))
            shown = teacher_hidden.to(self._dtype(teacher_hidden, others[0]))

            def towards(beta: float) -> Tensor:
                divergence, _ = ChunkedDivergenceFunction.apply(
                    read,
                    *own,
                    shown,
                    *others,
                    beta,
                    self.temperature,
                    student.scale,
                    student.softcap,
                    teacher.scale,
                    teacher.softcap,
                )
                return divergence.clamp(min=0)

            with _without_autocast(read):
                if self.kind == "bidirectional":
                    return self.beta * towards(0.0) + (1 - self.beta) * towards(1.0)
                return towards({"forward": 0.0, "reverse": 1.0, "jsd": self.beta}[self.kind])

    def disagreement(self, teacher_hidden: Tensor) -> Tensor:
        """E_j KL(p_j || pbar) of teachers `(J, M, H)`, in nats, `(M)` float32."""
        with self._head(self.teacher, teacher_hidden) as head:
            return chunked_disagreement(
                teacher_hidden, head, **self._chunks(self.teacher, teacher_hidden)
            )

    def contrast(self, teacher_hidden: Tensor, other_hidden: Tensor) -> Tensor:
        """KL of two teachers of the same weights `(M, H)`, in nats, `(M)` float32."""
        return replace(self, student=self.teacher).divergence(teacher_hidden, other_hidden)

    def logps(self, hidden: Tensor, token_ids: Tensor, *, of_teacher: bool) -> Tensor:
        """Log-probability of the tokens, in nats, `(M)` float32."""
        model = self.teacher if of_teacher else self.student
        with self._head(model, hidden) as head:
            return chunked_logps(hidden, head, token_ids, **self._chunks(model, hidden))

    def statistics(
        self, hidden: Tensor, token_ids: Tensor, *, of_teacher: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of the tokens and entropy, in nats, `(M)` float32 each."""
        model = self.teacher if of_teacher else self.student
        with self._head(model, hidden) as head:
            return chunked_statistics(hidden, head, token_ids, **self._chunks(model, hidden))

    def top_tokens(self, hidden: Tensor, *, of_teacher: bool = False) -> tuple[Tensor, Tensor]:
        """Probabilities and ids `(M, K)` of the likeliest next tokens of each row."""
        model: Any = self.teacher if of_teacher else self.student
        with self._head(model, hidden) as head:
            k = min(self.top_k, model.config.get_text_config().vocab_size)
            return chunked_top_tokens(hidden, head, k, **self._chunks(model, hidden))

    def _chunks(self, model: Any, hidden: Tensor) -> dict[str, Any]:
        return {"temperature": self.temperature, "chunk_tokens": _chunk_tokens(model, hidden)}

    @contextmanager
    def _head(self, model: Any, hidden: Tensor) -> Iterator[Head]:
        """The output head for such hidden states, with float32 logits."""
        transform = LogitTransform.of(model)
        with _weights(model) as (weight, bias):
            if torch.is_grad_enabled() and hasattr(weight, "ds_status"):
                # ZeRO-3 lets go of the head before the backward, which computes chunks again.
                weight, bias = weight.clone(), None if bias is None else bias.clone()
            dtype = self._dtype(hidden, weight)
            operand = weight.to(dtype)
            if torch.is_grad_enabled() or not _multiplies_to_float32(operand):
                operand = operand.float()  # one copy for all chunks

            def head(chunk: Tensor) -> Tensor:
                with _without_autocast(chunk):
                    logits = _product(chunk.to(dtype), operand)
                    return transform(logits if bias is None else logits + bias.float())

            yield head

    def _dtype(self, hidden: Tensor, weight: Tensor) -> torch.dtype:
        """What hidden states and weight are rounded to before their product."""
        device = hidden.device.type
        if torch.is_autocast_enabled(device) and not self.in_float32:
            return torch.get_autocast_dtype(device)
        return torch.promote_types(hidden.dtype, weight.dtype)


@dataclass(frozen=True)
class LogitTransform:
    """What a model does to the logits of its head (Cohere, Granite, Gemma and others)."""

    scale: float = 1.0
    softcap: float | None = None

    @classmethod
    def of(cls, model: Any) -> "LogitTransform":
        """Scale and soft cap, read from the config as TRL's fused head reads them."""
        config = model.config.get_text_config()
        softcap = getattr(config, "final_logit_softcapping", None)
        for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
            if getattr(config, name, None) is not None:
                return cls(getattr(config, name), softcap)
        divisor = getattr(config, "logits_scaling", None)
        if divisor is None:
            return cls(1.0, softcap)
        return cls(divisor if config.model_type == "hyperclovax" else 1 / divisor, softcap)

    def __call__(self, logits: Tensor) -> Tensor:
        scaled = logits if self.scale == 1.0 else logits * self.scale
        return scaled if self.softcap is None else self.softcap * (scaled / self.softcap).tanh()


@dataclass(frozen=True)
class WholeHead:
    """An output head whose weights do not go when its model goes on."""

    config: Any
    """Of the model."""
    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, model: Any) -> "WholeHead":
        """The head of a model as it is now; a copy where the model is sharded."""
        with _weights(model) as (weight, bias):
            return cls(model.config, _kept(weight), None if bias is None else _kept(bias))

    def get_output_embeddings(self) -> "WholeHead":
        return self


def _chunk_tokens(model: Any, hidden: Tensor) -> int:
    """Tokens that are projected at a time, each onto the whole vocabulary."""
    logits_of_token = model.config.get_text_config().vocab_size * hidden.shape[:-2].numel()
    logits = _LOGITS.get(hidden.device.type, _LOGITS_ELSEWHERE)
    if torch.is_grad_enabled():
        logits *= 2  # since each chunk adds to the gradient of the whole head
    return max(1, min(1024, logits // logits_of_token))


def _is_sharded(model: Any) -> bool:
    weight = model.get_output_embeddings().weight
    return isinstance(weight, DTensor) or hasattr(weight, "ds_status")


def _kept(weight: Tensor) -> Tensor:
    if not hasattr(weight, "ds_status"):
        return weight.detach()
    kept = weight.detach().clone()
    kept.ds_status = weight.ds_status  # type: ignore[attr-defined] -- TRL asks whether it is there
    return kept


def _multiplies_to_float32(operand: Tensor) -> bool:
    """Whether the device multiplies such numbers without rounding the product to their type."""
    return operand.is_cuda and operand.dtype in (torch.float16, torch.bfloat16)


def _product(hidden: Tensor, operand: Tensor) -> Tensor:
    """Logits `(*, V)` in float32 of hidden states `(*, H)`, each of them rounded already."""
    if not _multiplies_to_float32(operand):
        return linear(hidden.float(), operand)
    rows = torch.mm(hidden.flatten(0, -2), operand.t(), out_dtype=torch.float32)
    return rows.unflatten(0, hidden.shape[:-1])


def _without_autocast(hidden: Tensor) -> AbstractContextManager[Any]:
    return torch.autocast(hidden.device.type, enabled=False)


@contextmanager
def _weights(model: Any) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Weight and bias of the output head, whole also where they are sharded."""
    head = model.get_output_embeddings()
    weight, bias = head.weight, getattr(head, "bias", None)
    if isinstance(weight, DTensor):
        # As FSDP does with gradients; by default those of the other processes were left out.
        averaged = [Partial("avg")] * weight.device_mesh.ndim
        weight = weight.full_tensor(grad_placements=averaged)
        bias = None if bias is None else bias.full_tensor(grad_placements=averaged)
    with maybe_gather_lm_head_ctx(weight, bias):
        yield weight, bias
