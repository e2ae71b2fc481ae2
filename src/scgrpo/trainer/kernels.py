"""The output head of the policy for the scorer: TRL's kernel on a GPU, else plain torch."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from trl.kernels.chunked_divergence import ChunkedDivergenceFunction
from trl.trainer.utils import maybe_gather_lm_head_ctx

from scgrpo.method import chunked_divergence, chunked_top_tokens


@dataclass(frozen=True)
class PolicyHead:
    """Divergence and top tokens from hidden states; the vocabulary never stands in full.

    Both teacher and student use this one head: they are the same weights.
    """

    model: nn.Module
    temperature: float
    top_k: int = 5

    def divergence(self, teacher_hidden: Tensor, student_hidden: Tensor) -> Tensor:
        """KL(teacher || student) of each row `(M, H)`, in nats, `(M)` float32."""
        weight, bias = self._weights()
        logit_scale, softcap = self._logit_transform()
        if not teacher_hidden.is_cuda and logit_scale == 1.0 and softcap is None:
            with maybe_gather_lm_head_ctx(weight, bias):
                dtype = teacher_hidden.dtype
                return chunked_divergence(
                    teacher_hidden,
                    weight.to(dtype),
                    student_hidden,
                    weight.to(dtype),
                    temperature=self.temperature,
                    teacher_bias=None if bias is None else bias.to(dtype),
                    student_bias=None if bias is None else bias.to(dtype),
                )
        forward_kl = 0.0
        kl, _ = ChunkedDivergenceFunction.apply(
            student_hidden,
            weight,
            bias,
            teacher_hidden,
            weight,
            bias,
            forward_kl,
            self.temperature,
            logit_scale,
            softcap,
            logit_scale,
            softcap,
        )
        return kl.clamp(min=0)

    def top_tokens(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities and ids `(M, K)` of the likeliest next tokens of each row."""
        weight, bias = self._weights()
        with maybe_gather_lm_head_ctx(weight, bias):
            return chunked_top_tokens(
                hidden,
                weight.to(hidden.dtype),
                min(self.top_k, weight.shape[0]),
                temperature=self.temperature,
                bias=None if bias is None else bias.to(hidden.dtype),
            )

    def _weights(self) -> tuple[Tensor, Tensor | None]:
        head: Any = self.model.get_output_embeddings()  # type: ignore[operator]
        weight, bias = head.weight, getattr(head, "bias", None)
        if isinstance(weight, DTensor):
            weight = weight.full_tensor()
            bias = None if bias is None else bias.full_tensor()
        return weight.detach(), None if bias is None else bias.detach()

    def _logit_transform(self) -> tuple[float, float | None]:
        """Scale and soft cap of the logits (Cohere, Granite, Gemma), read as TRL reads them."""
        config: Any = self.model.config.get_text_config()  # type: ignore[union-attr, operator]
        scale = getattr(config, "logit_scale", None)
        if scale is None and getattr(config, "logits_scaling", None) is not None:
            scale = 1 / config.logits_scaling
        return (1.0 if scale is None else scale), getattr(config, "final_logit_softcapping", None)
