"""Section 4: which groups are weighted, and what their advantage is made of.

Shapes: B rollouts, N groups, G rollouts a group.
"""

from collections.abc import Callable
from enum import IntEnum

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class Route(IntEnum):
    """Where the credit of a group comes from."""

    PLAIN = 0
    """No reference: GRPO advantage, weight 1."""
    PARTIAL = 1
    """References are verified rollouts of the group: GRPO advantage, weight f(D)."""
    NONE = 2
    """Nothing verified: one shared reference, diversity advantage, weight f(D)."""


# (verified, scored) rollouts of each group -> groups with verified references, groups with none.
_Counts = tuple[Tensor, Tensor]
_REFERENCE_SETS: dict[str, Callable[[Tensor, Tensor], _Counts]] = {
    "partial": lambda n_c, n: ((n_c >= 2) & (n_c < n), torch.zeros_like(n_c, dtype=torch.bool)),
    "partial+none": lambda n_c, n: ((n_c >= 2) & (n_c < n), (n_c == 0) & (n > 0)),
    "any-partial": lambda n_c, n: (n_c >= 1, torch.zeros_like(n_c, dtype=torch.bool)),
    "all-correct": lambda n_c, n: ((n_c == n) & (n >= 2), torch.zeros_like(n_c, dtype=torch.bool)),
    "all": lambda n_c, n: (n_c >= 1, (n_c == 0) & (n > 0)),
}
REFERENCE_SETS = tuple(_REFERENCE_SETS)
"""The rows of the paper's routing ablation; `partial+none` is the method."""


def verified_mask(reward: Float[Tensor, "*B"], solve_threshold: float = 1.0) -> Bool[Tensor, "*B"]:
    """Mark the rollouts that the verifier accepts (section 1).

    Args:
        reward: `(*B)` verifier rewards in [0, 1]; NaN marks an unscored rollout.
        solve_threshold: smallest reward that counts as solved.

    Returns:
        `(*B)` bool; an unscored rollout is not verified.
    """
    return reward >= solve_threshold


def route_groups(
    reward: Float[Tensor, "N G"],
    reference_set: str = "partial+none",
    solve_threshold: float = 1.0,
) -> Int64[Tensor, " N"]:
    """Route each group by its number of verified rollouts (section 4, table).

    Unscored rollouts (NaN) count neither as verified nor as failed: a group whose scored rollouts
    are all verified is solved. A group without any scored rollout is plain.

    Args:
        reward: `(N, G)` verifier rewards in [0, 1], NaN where unscored.
        reference_set: one of `REFERENCE_SETS`.
        solve_threshold: smallest reward that counts as solved.

    Returns:
        `(N)` values of `Route`.

    Raises:
        ValueError: for an unknown reference set.
    """
    if reference_set not in _REFERENCE_SETS:
        raise ValueError(
            f"reference_set is {reference_set!r}; choose one of {', '.join(REFERENCE_SETS)}."
        )
    verified_N = verified_mask(reward, solve_threshold).sum(1)
    scored_N = (~reward.isnan()).sum(1)
    partial_N, none_N = _REFERENCE_SETS[reference_set](verified_N, scored_N)
    route_N = torch.full_like(verified_N, int(Route.PLAIN))
    return route_N.masked_fill(partial_N, int(Route.PARTIAL)).masked_fill(none_N, int(Route.NONE))
