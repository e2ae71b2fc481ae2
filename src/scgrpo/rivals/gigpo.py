"""GiGPO, arXiv 2505.10978: turns that answer to the same state are compared with each other."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def step_advantage(
    returns: Float[Tensor, " M"], state: Int64[Tensor, " M"], eps: float = 1e-6
) -> Float[Tensor, " M"]:
    """(R - mean) / (std + eps) of each turn among those that began in the same state.

    Args:
        returns: `(M)` discounted return of each turn, R_t = sum over k >= t of gamma^(k - t) r_k.
        state: `(M)` number of the state that it began in, of turns of one group of rollouts.
        eps: added to the sample standard deviation.

    Returns:
        `(M)`; 0 for a turn whose state no other one shares.
    """
    _, place = torch.unique(state, return_inverse=True)
    count = place.bincount()
    mean = place.bincount(weights=returns) / count
    centred = returns.double() - mean[place]
    spread = (place.bincount(weights=centred**2) / (count - 1).clamp(min=1)).sqrt()
    scaled = torch.where(count[place] > 1, centred / (spread[place] + eps), 0.0)
    return scaled.to(returns.dtype)
