"""Section 4: the reference trajectory of each rollout, drawn from its own group.

Shapes: N groups, G rollouts a group.
"""

import random

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from scgrpo.method.routing import Route, verified_mask

NO_REFERENCE = -1


def draw_references(
    reward: Float[Tensor, "N G"],
    route: Int64[Tensor, " N"],
    *,
    seed: int,
    step: int,
    solve_threshold: float = 1.0,
    first_group: int = 0,
) -> Int64[Tensor, "N G"]:
    """Draw a reference for each rollout, keyed by (seed, step, group).

    In a partial group, rollout i draws uniformly from the verified rollouts other than i. In a
    none group, one scored rollout serves the whole group; it has no reference itself. The draw
    depends on nothing but the key and the rewards of the group, so a resumed or re-sharded run
    draws the same references.

    Args:
        reward: `(N, G)` verifier rewards, NaN where unscored.
        route: `(N)` values of `Route`.
        seed: seed of the run.
        step: number of the generation step.
        solve_threshold: smallest reward that counts as solved.
        first_group: number of the first of these groups within the step.

    Returns:
        `(N, G)` index of the reference within the group, on the CPU; -1 where there is none: in a
        plain group, for a lone verified rollout, for the shared reference itself and for unscored
        rollouts.
    """
    reference_NG = torch.full(reward.shape, NO_REFERENCE, dtype=torch.int64)
    verified = verified_mask(reward, solve_threshold).tolist()
    scored = (~reward.isnan()).tolist()
    for group, group_route in enumerate(route.tolist()):
        rng = random.Random(f"{seed}/{step}/{first_group + group}")
        if group_route == Route.PARTIAL:
            drawn = _draw_verified(verified[group], scored[group], rng)
        elif group_route == Route.NONE:
            drawn = _draw_shared(scored[group], rng)
        else:
            continue
        reference_NG[group] = torch.tensor(drawn)
    return reference_NG


def _draw_verified(verified: list[bool], scored: list[bool], rng: random.Random) -> list[int]:
    drawn = []
    for rollout, is_scored in enumerate(scored):
        others = [j for j, accepted in enumerate(verified) if accepted and j != rollout]
        drawn.append(rng.choice(others) if is_scored and others else NO_REFERENCE)
    return drawn


def _draw_shared(scored: list[bool], rng: random.Random) -> list[int]:
    shared = rng.choice([j for j, is_scored in enumerate(scored) if is_scored])
    return [
        shared if is_scored and j != shared else NO_REFERENCE for j, is_scored in enumerate(scored)
    ]
