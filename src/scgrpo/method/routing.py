"""Section 4: which groups are weighted, and what their advantage is made of.

Shapes: B rollouts, N groups, G rollouts a group.
"""

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


REFERENCE_SETS = ("partial", "partial+none", "any-partial", "all-correct", "all")
"""The rows of the paper's routing ablation; `partial+none` is the method."""


def reaches_unsolved(reference_set: str) -> bool:
    """Whether groups without a verified rollout have a reference in this set."""
    return reference_set in ("partial+none", "all")


def verified_mask(reward: Float[Tensor, "*B"], solve_threshold: float = 1.0) -> Bool[Tensor, "*B"]:
    """Mark the rollouts that the verifier accepts (section 1).

    Args:
        reward: `(*B)` rewards of the verifier; NaN marks an unscored rollout.
        solve_threshold: smallest reward that counts as solved.

    Returns:
        `(*B)` bool; an unscored rollout is not verified.
    """
    return reward >= solve_threshold


def route_groups(
    reward: Float[Tensor, "N G"],
    reference_set: str = "partial+none",
    solve_threshold: float = 1.0,
    remembered: Int64[Tensor, " N"] | None = None,
) -> Int64[Tensor, " N"]:
    """Route each group by its number of verified rollouts (section 4, table).

    Unscored rollouts (NaN) count neither as verified nor as failed: a group whose scored rollouts
    are all verified is solved. A group without any scored rollout is plain. A lone verified rollout
    makes a partial group where an earlier step left another one (`remembered`).

    Args:
        reward: `(N, G)` rewards of the verifier, NaN where unscored.
        reference_set: one of `REFERENCE_SETS`.
        solve_threshold: smallest reward that counts as solved.
        remembered: `(N)` verified rollouts of each problem that are kept from earlier steps.

    Returns:
        `(N)` values of `Route`.

    Raises:
        ValueError: for an unknown reference set.
    """
    if reference_set not in REFERENCE_SETS:
        raise ValueError(
            f"reference_set is {reference_set!r}; choose one of {', '.join(REFERENCE_SETS)}."
        )
    verified_N = verified_mask(reward, solve_threshold).sum(1)
    scored_N = (~reward.isnan()).sum(1)
    remembered_N = torch.zeros_like(verified_N) if remembered is None else remembered
    any_partial_N = (verified_N >= 1) & (verified_N < scored_N)
    partial_N = any_partial_N & (verified_N + remembered_N >= 2)
    solved_N = (verified_N == scored_N) & (scored_N >= 2)
    taught_N = {
        "partial": partial_N,
        "partial+none": partial_N,
        "any-partial": any_partial_N,
        "all-correct": solved_N,
        "all": any_partial_N | solved_N,
    }[reference_set]
    unsolved_N = (verified_N == 0) & (scored_N > 0) & reaches_unsolved(reference_set)
    route_N = torch.full_like(verified_N, int(Route.PLAIN))
    return route_N.masked_fill(taught_N, int(Route.PARTIAL)).masked_fill(
        unsolved_N, int(Route.NONE)
    )
