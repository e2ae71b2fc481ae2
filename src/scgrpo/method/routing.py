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


# Marks groups by their numbers of verified, scored and remembered rollouts.
_Mark = Callable[[Tensor, Tensor, Tensor], Tensor]


def _partial(n_c: Tensor, n: Tensor, m: Tensor) -> Tensor:
    return _any_partial(n_c, n, m) & (n_c + m >= 2)


def _any_partial(n_c: Tensor, n: Tensor, m: Tensor) -> Tensor:
    return (n_c >= 1) & (n_c < n)


def _solved(n_c: Tensor, n: Tensor, m: Tensor) -> Tensor:
    return (n_c == n) & (n >= 2)


def _unsolved(n_c: Tensor, n: Tensor, m: Tensor) -> Tensor:
    return (n_c == 0) & (n > 0)


def _never(n_c: Tensor, n: Tensor, m: Tensor) -> Tensor:
    return torch.zeros_like(n_c, dtype=torch.bool)


_REFERENCE_SETS: dict[str, tuple[_Mark, _Mark]] = {
    "partial": (_partial, _never),
    "partial+none": (_partial, _unsolved),
    "any-partial": (_any_partial, _never),
    "all-correct": (_solved, _never),
    "all": (lambda *counts: _any_partial(*counts) | _solved(*counts), _unsolved),
}
REFERENCE_SETS = tuple(_REFERENCE_SETS)
"""The rows of the paper's routing ablation; `partial+none` is the method."""


def reaches_unsolved(reference_set: str) -> bool:
    """Whether groups without a verified rollout have a reference in this set."""
    return _REFERENCE_SETS[reference_set][1] is _unsolved


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
    remembered: Int64[Tensor, " N"] | None = None,
) -> Int64[Tensor, " N"]:
    """Route each group by its number of verified rollouts (section 4, table).

    Unscored rollouts (NaN) count neither as verified nor as failed: a group whose scored rollouts
    are all verified is solved. A group without any scored rollout is plain. A lone verified rollout
    makes a partial group where an earlier step left another one (`remembered`).

    Args:
        reward: `(N, G)` verifier rewards in [0, 1], NaN where unscored.
        reference_set: one of `REFERENCE_SETS`.
        solve_threshold: smallest reward that counts as solved.
        remembered: `(N)` verified rollouts of each problem that are kept from earlier steps.

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
    remembered_N = torch.zeros_like(verified_N) if remembered is None else remembered
    counts = (verified_N, scored_N, remembered_N)
    partial_N, none_N = (mark(*counts) for mark in _REFERENCE_SETS[reference_set])
    route_N = torch.full_like(verified_N, int(Route.PLAIN))
    return route_N.masked_fill(partial_N, int(Route.PARTIAL)).masked_fill(none_N, int(Route.NONE))
