"""Signed weights, the AUC within groups and the trust in it, on numbers worked by hand."""

import math

import numpy as np
import pytest
import torch

from scgrpo.method import Ranking, believed, faded, mean_one, ranked, signed_weight

LN2, LN5 = math.log(2), math.log(5)


def vector(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_signed_weight_by_hand():
    # A token twice, or five times, as likely to the teacher, and one half as likely.
    d = vector(LN2, LN2, LN2, LN5, LN5, -LN2, -LN2, 100.0, -100.0)
    advantage = vector(1, -3, 0, 0.1, -0.1, 1, -1, 1, 1)
    expected = vector(2, 0.5, 1, 2, 0.2, 0.5, 2, 2, 0)
    torch.testing.assert_close(signed_weight(d, advantage), expected)


def test_rlsd_is_a_case():
    """A [(1 - lambda) + lambda clip(exp(sign(A) d), 0.8, 1.2)] with lambda = 0.5."""
    d, advantage = vector(LN2, -LN2, 0.1, 0.1), vector(1, 1, 1, -1)
    weight = believed(signed_weight(d, advantage, 0.8, 1.2), 0.5)
    expected = vector(1.1, 0.9, 0.5 + 0.5 * math.exp(0.1), 0.5 + 0.5 * math.exp(-0.1))
    torch.testing.assert_close(weight, expected)


def test_rlrt_is_the_same_of_the_opposite():
    d, advantage = vector(LN2, -LN2), vector(1, 1)
    torch.testing.assert_close(signed_weight(-d, advantage), vector(0.5, 2))


def test_trust_of_nothing_and_of_everything():
    weight = vector(0, 0.3, 2)
    assert torch.equal(believed(weight, 0.0), torch.ones(3))
    torch.testing.assert_close(believed(weight, 1.0), weight)
    torch.testing.assert_close(believed(weight, vector(0, 0.5, 1)), vector(1, 0.65, 2))


def test_trust_fades_linearly():
    found = [faded(0.5, step, 50) for step in (0, 10, 25, 50, 80)]
    assert found == pytest.approx([0.5, 0.4, 0.25, 0, 0])


def test_auc_by_hand():
    nan = float("nan")
    score = torch.tensor([[3.0, 1.0, 2.0, 1.0], [5.0, 6.0, 7.0, 8.0], [0.0, -1.0, 100.0, nan]])
    verified = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).bool()
    failed = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]).bool()
    found = ranked(score, verified, failed)
    # First group: 3 beats 2 and 1; 1 loses to 2 and ties with 1. The second has nothing to compare.
    # In the third, two rollouts are neither verified nor failed.
    assert (found.wins, found.pairs) == (2.5 + 1, 4 + 1)
    assert found.spread == 16 / 2 + 1 / 1
    assert found.auc == pytest.approx(0.7) and found.trust == pytest.approx(0.4)


def test_spread_counts_the_fewer_of_each_group():
    """(1 * 3)^2 / 1 + (2 * 1)^2 / 1, whatever the other group has."""
    verified = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0]]).bool()
    failed = torch.tensor([[0, 1, 1, 1], [0, 0, 1, 0]]).bool()
    assert ranked(torch.zeros(2, 4), verified, failed) == Ranking(2.5, 5.0, 13.0)


def test_the_interval_solves_wilsons_equation():
    """(AUC - p)^2 = z^2 p (1 - p) / n at both ends, with n = pairs^2 / spread."""
    found = Ranking(wins=3.5, pairs=5.0, spread=9.0)
    low, high = found.interval
    assert 0 < low < found.auc < high < 1
    for p in (low, high):
        assert (found.auc - p) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) * 9 / 25)
    low, high = Ranking(wins=1.0, pairs=1.0, spread=1.0).interval
    assert low < 0.5 and high == 1  # one pair proves nothing


def test_intervals_hold_the_truth():
    """Of 400 worlds where the teacher knows nothing, or something, at most one in twenty misses."""
    draw = np.random.default_rng(0)
    for lift, auc in ((0.0, 0.5), (1.0, 0.7602)):  # Phi(1 / sqrt(2))
        missed = 0
        for _ in range(400):
            verified = torch.from_numpy(draw.random((8, 6)) < draw.uniform(0.2, 0.8, (8, 1)))
            score = torch.from_numpy(draw.standard_normal((8, 6))) + lift * verified
            low, high = ranked(score, verified, ~verified).interval
            missed += not low <= auc <= high
        assert missed <= 20


def test_nothing_to_compare():
    nothing = ranked(torch.zeros(2, 3), torch.ones(2, 3).bool(), torch.zeros(2, 3).bool())
    assert math.isnan(nothing.auc) and nothing.trust == 0 and nothing.interval == (0, 1)


def test_a_teacher_that_is_worse_than_chance_is_not_trusted():
    assert Ranking(1.0, 4.0, 4.0).trust == 0


def test_later_batches_count_more():
    both = Ranking(4.0, 4.0, 8.0).after(0.5, Ranking(1.0, 4.0, 8.0))
    assert both == Ranking(3.0, 6.0, 10.0)
    # A batch without pairs changes neither AUC nor, but for what it forgets, the interval.
    assert both.after(0.5, Ranking()).auc == both.auc


def test_mean_one_by_hand():
    weight = vector(1, 3, 0, 0, 0.5)
    torch.testing.assert_close(mean_one(weight), weight / 0.9)
    sequence = torch.tensor([0, 0, 1, 1, 3])
    torch.testing.assert_close(mean_one(weight, sequence), vector(0.5, 1.5, 0, 0, 1))
    assert mean_one(vector()).shape == (0,)
