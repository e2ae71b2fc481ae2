"""Sections 3 and 6: the clipped surrogate, the distillation term, and their aggregations.

The trainer uses TRL's own loss with the weight carried in the advantage; these are the same
formulas to read, to test against, and to build on.

Shapes: B rollouts, T completion tokens.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def clipped_surrogate(
    logp: Float[Tensor, "B T"],
    old_logp: Float[Tensor, "B T"],
    advantage: Float[Tensor, "B T"],
    eps_low: float = 0.2,
    eps_high: float = 0.2,
) -> Float[Tensor, "B T"]:
    """-min(rho A, clip(rho, 1 - eps_low, 1 + eps_high) A) of each token (section 3).

    Since f >= 0, a weight may be part of the advantage: f min(rho A, clip(rho) A) equals
    min(rho fA, clip(rho) fA).

    Args:
        logp: `(B, T)` log-probs of the policy, with gradient.
        old_logp: `(B, T)` log-probs at sampling time.
        advantage: `(B, T)` A or f A, without gradient.
        eps_low: lower clip range.
        eps_high: upper clip range.

    Returns:
        `(B, T)` loss, to be minimised.
    """
    ratio = (logp - old_logp.detach()).exp()
    clipped = ratio.clamp(1 - eps_low, 1 + eps_high)
    return -torch.minimum(ratio * advantage, clipped * advantage)


def clipped_divergence(
    divergence: Float[Tensor, "*B"], clip: float | None = None
) -> Float[Tensor, "*B"]:
    """Divergence of each token, at most `clip`: a clipped token has no gradient (section 6).

    For OPSD's clip of each vocabulary entry see `divergence.entry_clipped`.

    Args:
        divergence: `(*B)` nats, with gradient.
        clip: largest value in nats; None for no clipping.
    """
    return divergence if clip is None else divergence.clamp(max=clip)


def warmed(coefficient: float, start: float | None, step: int, warmup_steps: int) -> float:
    """Coefficient of an additive loss, warmed linearly from `start` (section 6).

    Args:
        coefficient: value after the warm-up.
        start: value at step 0; None for no warm-up.
        step: optimizer steps done.
        warmup_steps: steps of the warm-up.
    """
    if start is None or step >= warmup_steps:
        return coefficient
    return start + (coefficient - start) * step / warmup_steps


def sequence_mean(loss: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """1/B sum_i 1/|o_i| sum_t: every rollout counts the same (GRPO, SC-GRPO).

    Args:
        loss: `(B, T)` per-token loss.
        mask: `(B, T)` model-written tokens; a rollout without any contributes 0.
    """
    per_rollout = loss.masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=1)
    return per_rollout.mean()


def token_mean(loss: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, ""]:
    """Mean over all tokens of the batch: every token counts the same (DAPO).

    Args:
        loss: `(B, T)` per-token loss.
        mask: `(B, T)` model-written tokens.
    """
    return loss.masked_fill(~mask, 0).sum() / mask.sum().clamp(min=1)
