"""Which groups have the diversity advantage, and from what, whoever holds their rollouts."""

import numpy as np
import pytest
import torch

from scgrpo.config import Method
from scgrpo.credit.advantages import diversity
from scgrpo.credit.use import Passes
from scgrpo.method import threshold
from scgrpo.rollouts import Rollouts, StepContext
from scgrpo.teachers.memory import Reference
from scgrpo.teachers.teacher import References
from tests.method import oracle
from tests.processes import in_processes

SIZE, LENGTHS = 4, (5, 3, 6, 2)
# Equal in each half of the second group, and so wherever one of two processes looks.
TOTALS = [[0.25] * 4, [0.0, 0.0, 0.5, 0.5], [float("nan"), 0.5, 0.5, 0.5]]
GIVEN = torch.arange(12) / 10 - 0.55


def divergences():
    generator = np.random.default_rng(0)
    return [generator.gamma(1, 1, n).tolist() for _ in TOTALS for n in LENGTHS]


def expected(replaces, sign, alpha):
    """Advantages of all rollouts; the last of each group is the reference of the others."""
    kl = divergences()
    taught = [i for i in range(12) if i % SIZE < 3]
    c = oracle.threshold([d for i in taught for d in kl[i]])
    found = GIVEN.tolist()
    for group, rewards in enumerate(TOTALS):
        scored = [r for r in rewards if r == r]
        if replaces == "zero" and max(scored) > min(scored):
            continue
        rows = [group * SIZE + i for i in range(SIZE)]
        scores = [
            oracle.diversity_score(kl[i], [True] * len(kl[i]), LENGTHS[-1], c)
            if i in taught
            else None
            for i in rows
        ]
        for i, a in zip(rows, oracle.diversity_advantage(scores, alpha), strict=True):
            found[i] = sign * a
    return found


def found_by(world, replaces, sign, alpha):
    """Advantages of the rollouts of one process."""
    kl, count = divergences(), 12 // world.num_processes
    mine = range(world.process_index * count, (world.process_index + 1) * count)
    kl_BT = torch.zeros(count, max(LENGTHS))
    written_BT = torch.zeros(count, max(LENGTHS), dtype=torch.bool)
    for row, i in enumerate(mine):
        kl_BT[row, : len(kl[i])] = torch.tensor(kl[i])
        written_BT[row, : len(kl[i])] = True
    scored_B = torch.tensor([i % SIZE < 3 for i in mine])
    active_BT = written_BT & scored_B[:, None]
    empty = [[] for _ in mine]
    step = StepContext(
        Rollouts(empty, empty, empty, empty, torch.zeros(12, 1)),
        torch.zeros(3, SIZE),
        torch.tensor(TOTALS),
        world,
    )
    shown = [[Reference([8] * LENGTHS[-1])] if i % SIZE < 3 else [] for i in mine]
    advantage, _ = diversity(
        GIVEN[step.local],
        Passes({"kl": kl_BT * active_BT, "credit_active": active_BT}, scored_B),
        {"completion_mask": written_BT},
        step,
        References(shown, torch.full((3,), sign)),
        Method(diversity_replaces=replaces, diversity_alpha=alpha),
        lambda values: threshold(values, torch.ones_like(values, dtype=torch.bool)),
    )
    return advantage.tolist()


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("replaces", ["zero", "always"])
def test_groups_with_equal_total_rewards_are_replaced(replaces, sign, processes):
    choice = (replaces, sign, 0.3)
    parts = in_processes(processes, lambda world: found_by(world, *choice))
    found = [a for part in parts for a in part]
    assert found == pytest.approx(expected(*choice), rel=1e-4)
    kept = [found[i] == pytest.approx(GIVEN[i].item()) for i in range(12)]
    assert kept == [replaces == "zero" and 4 <= i < 8 for i in range(12)]
