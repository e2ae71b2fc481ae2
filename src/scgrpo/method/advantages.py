"""Sections 1 and 4: what the reward says about a rollout, before any token is weighted.

Shapes: B rollouts, N groups, G rollouts a group, T completion tokens. Results are float32 and
carry no gradient.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def group_advantage(reward: Float[Tensor, "N G"], eps: float = 1e-6) -> Float[Tensor, "N G"]:
    """GRPO advantage (r_i - mean r) / (std r + eps) within each group (section 1).

    Args:
        reward: `(N, G)`; NaN marks an unscored rollout, left out of mean and std.
        eps: added to the sample (unbiased) standard deviation.

    Returns:
        `(N, G)`; exactly 0 for unscored rollouts and where all rewards of a group are equal.
    """
    return _normalise(reward.float(), ~reward.isnan(), eps)


def diversity_score(
    weight: Float[Tensor, "B T"],
    written: Bool[Tensor, "B T"],
    reference_length: Int64[Tensor, " B"],
) -> Float[Tensor, " B"]:
    """s_i: mean of f(D) over the first min(|o_i|, |o_r|) model-written tokens (section 4).

    Args:
        weight: `(B, T)` f(D), not D itself.
        written: `(B, T)` tokens that the model wrote.
        reference_length: `(B)` number of model-written tokens of the reference.

    Returns:
        `(B)` in [0, 1); 0 where there is no token to average.
    """
    position_BT = written.long().cumsum(1)
    compared_BT = written & (position_BT <= reference_length[:, None])
    total_B = weight.detach().float().masked_fill(~compared_BT, 0).sum(1)
    return total_B / compared_BT.sum(1).clamp(min=1)


def diversity_advantage(
    score: Float[Tensor, "N G"],
    scored: Bool[Tensor, "N G"],
    alpha: float = 0.1,
    eps: float = 1e-6,
) -> Float[Tensor, "N G"]:
    """alpha * A_div of a group in which nothing was verified (section 4).

    Args:
        score: `(N, G)` s_i.
        scored: `(N, G)` rollouts that have a score: all but the reference itself.
        alpha: scale of the pseudo-advantage; 0.1 in the paper.
        eps: added to the sample (unbiased) standard deviation.

    Returns:
        `(N, G)`; 0 without a score, and in groups with fewer than two scores.
    """
    return alpha * _normalise(score.float(), scored, eps)


def token_returns(
    reward: Float[Tensor, " B"],
    kl: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    kl_coefficient: float = 0.0,
    discount: float = 1.0,
) -> Float[Tensor, "B T"]:
    """Discounted returns of rewards less a per-token KL penalty (REINFORCE++, section 6).

    r_t = [t is the last token] reward - kl_coefficient kl_t, and the return of t is
    sum over k >= t of discount^(k - t) r_k; arXiv 2501.03262, Eq. 8 and 9, for discount 1.

    Args:
        reward: `(B)` reward of each rollout, NaN where unscored.
        kl: `(B, T)` log pi_old - log pi_init of the sampled tokens, nats.
        mask: `(B, T)` tokens that the model wrote; others are passed over.
        kl_coefficient: beta of the penalty.
        discount: gamma in (0, 1].

    Returns:
        `(B, T)`; NaN for unscored rollouts, 0 outside of the mask.
    """
    returns_BT = torch.zeros_like(kl, dtype=torch.float32)
    later_B = torch.zeros_like(reward, dtype=torch.float32)
    is_last_B = torch.ones_like(reward, dtype=torch.bool)
    for t in range(kl.shape[1] - 1, -1, -1):
        own_B = mask[:, t]
        gained_B = torch.where(is_last_B, reward.float(), discount * later_B)
        later_B = torch.where(own_B, gained_B - kl_coefficient * kl[:, t].float(), later_B)
        returns_BT[:, t] = later_B.masked_fill(~own_B, 0)
        is_last_B = is_last_B & ~own_B
    return returns_BT.detach()


def whiten(
    returns: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], eps: float = 1e-8
) -> Float[Tensor, "B T"]:
    """Whiten per-token returns over all tokens of the batch (REINFORCE++, section 6).

    Args:
        returns: `(B, T)` discounted returns.
        mask: `(B, T)` tokens that count.
        eps: added to the sample (unbiased) standard deviation.

    Returns:
        `(B, T)`; 0 outside of the mask.
    """
    flat = _normalise(returns.float().reshape(1, -1), mask.reshape(1, -1), eps)
    return flat.reshape(returns.shape)


def _normalise(
    value: Float[Tensor, "N G"], valid: Bool[Tensor, "N G"], eps: float
) -> Float[Tensor, "N G"]:
    """(value - mean) / (std + eps) over the valid entries of each row, 0 elsewhere."""
    value = value.detach()
    count = valid.sum(1, keepdim=True)
    kept = value.masked_fill(~valid, 0)
    mean = kept.sum(1, keepdim=True) / count.clamp(min=1)
    centred = (value - mean).masked_fill(~valid, 0)
    std = (centred.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    # Rounding leaves a residue of (value - mean) that a small eps would blow up.
    highest = value.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    lowest = value.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    return (centred / (std + eps)).masked_fill((highest <= lowest) | (count < 2), 0)
