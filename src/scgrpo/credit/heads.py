"""The output heads for scorer and losses: TRL's kernel on a GPU, else plain torch."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial
from torch.nn.functional import linear
from trl.kernels.chunked_divergence import ChunkedDivergenceFunction
from trl.trainer.utils import maybe_gather_lm_head_ctx

from scgrpo.method import (
    chunked_disagreement,
    chunked_divergence,
    chunked_statistics,
    chunked_top_tokens,
)
from scgrpo.method.chunked import Head


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
    top_k: int = 5

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
        with _head(self.teacher) as teacher_head, _head(self.student) as student_head:
            return chunked_divergence(
                teacher_hidden,
                teacher_head,
                student_hidden,
                student_head,
                self.kind,
                beta=self.beta,
                temperature=self.temperature,
            )

    def _by_kernel(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        student, teacher = LogitTransform.of(self.student), LogitTransform.of(self.teacher)
        same = self.teacher is self.student
        with (
            _weights(self.student) as own,
            nullcontext(own) if same else _weights(self.teacher) as others,
        ):

            def towards(beta: float) -> Tensor:
                divergence, _ = ChunkedDivergenceFunction.apply(
                    student_hidden,
                    *own,
                    teacher_hidden,
                    *others,
                    beta,
                    self.temperature,
                    student.scale,
                    student.softcap,
                    teacher.scale,
                    teacher.softcap,
                )
                return divergence.clamp(min=0)

            if self.kind == "bidirectional":
                return self.beta * towards(0.0) + (1 - self.beta) * towards(1.0)
            return towards({"forward": 0.0, "reverse": 1.0, "jsd": self.beta}[self.kind])

    def disagreement(self, teacher_hidden: Tensor) -> Tensor:
        """E_j KL(p_j || pbar) of teachers `(J, M, H)`, in nats, `(M)` float32."""
        with _head(self.teacher) as head:
            return chunked_disagreement(teacher_hidden, head, temperature=self.temperature)

    def statistics(self, student_hidden: Tensor, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of the tokens and entropy, in nats, `(M)` float32 each."""
        with _head(self.student) as head:
            return chunked_statistics(student_hidden, head, token_ids, temperature=self.temperature)

    def top_tokens(self, hidden: Tensor, *, of_teacher: bool = False) -> tuple[Tensor, Tensor]:
        """Probabilities and ids `(M, K)` of the likeliest next tokens of each row."""
        model: Any = self.teacher if of_teacher else self.student
        with _head(model) as head:
            k = min(self.top_k, model.config.get_text_config().vocab_size)
            return chunked_top_tokens(hidden, head, k, temperature=self.temperature)


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


def _is_sharded(model: Any) -> bool:
    weight = model.get_output_embeddings().weight
    return isinstance(weight, DTensor) or hasattr(weight, "ds_status")


def _kept(weight: Tensor) -> Tensor:
    if not hasattr(weight, "ds_status"):
        return weight.detach()
    kept = weight.detach().clone()
    kept.ds_status = weight.ds_status  # type: ignore[attr-defined] -- TRL asks whether it is there
    return kept


@contextmanager
def _head(model: Any) -> Iterator[Head]:
    """The output head as a function of hidden states."""
    transform = LogitTransform.of(model)
    with _weights(model) as (weight, bias):

        def head(hidden: Tensor) -> Tensor:
            own_bias = None if bias is None else bias.to(hidden.dtype)
            return transform(linear(hidden, weight.to(hidden.dtype), own_bias))

        yield head


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
