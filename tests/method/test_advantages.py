"""Advantages against the oracle."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scgrpo.method import (
    credit_weight,
    diversity_advantage,
    diversity_score,
    group_advantage,
    token_returns,
    whiten,
)
from tests.method import oracle

REWARD = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 1.0, math.nan]))


@given(st.integers(2, 8).flatmap(lambda g: st.lists(REWARD, min_size=g, max_size=g)))
def test_group_advantage_equals_oracle(reward):
    found = group_advantage(torch.tensor([reward], dtype=torch.float64))[0]
    spread = np.nanmax(reward) - np.nanmin(reward) if not all(map(math.isnan, reward)) else 0
    tolerance = 1e-3 if 0 < spread < 1e-3 else 1e-5
    np.testing.assert_allclose(found, oracle.group_advantage(reward), rtol=1e-3, atol=tolerance)


def test_group_of_two_by_hand():
    found = group_advantage(torch.tensor([[1.0, 0.0], [0.1, 0.1]]))
    expected = 0.5 / (math.sqrt(0.5) + 1e-6)
    torch.testing.assert_close(found, torch.tensor([[expected, -expected], [0.0, 0.0]]))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0])
def test_equal_rewards_are_exactly_zero(value):
    assert (group_advantage(torch.full((3, 7), value)) == 0).all()


def test_one_scored_rollout_is_zero():
    assert (group_advantage(torch.tensor([[1.0, math.nan, math.nan]])) == 0).all()


ROLLOUT = st.lists(st.tuples(st.floats(0, 9, width=32), st.booleans()), min_size=5, max_size=5)


@given(ROLLOUT, st.integers(0, 6), st.floats(2**-13, 9, width=32))
def test_diversity_score_equals_oracle(tokens, reference_length, c):
    kl, written = [d for d, _ in tokens], [w for _, w in tokens]
    weight = credit_weight(torch.tensor([kl]), torch.tensor(c))
    found = diversity_score(weight, torch.tensor([written]), torch.tensor([reference_length]))
    expected = oracle.diversity_score(kl, written, reference_length, c)
    assert found.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_diversity_score_of_three_tokens_by_hand():
    """f of 1, 3, 0 and 9 with c = 1 is 1/2, 3/4, 0, 9/10; the second is a tool's, the last late."""
    weight = credit_weight(torch.tensor([[1.0, 3.0, 0.0, 9.0]]), torch.tensor(1.0))
    written = torch.tensor([[True, False, True, True]])
    assert diversity_score(weight, written, torch.tensor([2])).item() == pytest.approx(0.25)


@given(
    st.integers(2, 8).flatmap(
        lambda g: st.lists(st.one_of(st.none(), st.floats(0, 9, width=32)), min_size=g, max_size=g)
    )
)
def test_diversity_advantage_equals_oracle(scores):
    present = [s for s in scores if s is not None]
    if present and 0 < max(present) - min(present) < 1e-2:
        return  # float32 cannot tell such scores apart as float64 does
    values = torch.tensor([[0.0 if s is None else s for s in scores]])
    scored = torch.tensor([[s is not None for s in scores]])
    found = diversity_advantage(values, scored, alpha=0.1)[0]
    expected = oracle.diversity_advantage(scores)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_the_reference_has_no_part_in_mean_and_std():
    score = torch.tensor([[100.0, 1.0, 3.0]])
    scored = torch.tensor([[False, True, True]])
    found = diversity_advantage(score, scored, alpha=1.0)
    expected = 1 / (math.sqrt(2) + 1e-6)
    torch.testing.assert_close(found, torch.tensor([[0.0, -expected, expected]]))


def test_fewer_than_two_scores_are_zero():
    scored = torch.tensor([[True, False, False], [False, False, False]])
    assert (diversity_advantage(torch.rand(2, 3), scored) == 0).all()


def test_whitening_is_over_the_whole_batch():
    torch.manual_seed(0)
    returns, mask = torch.randn(4, 6) * 3 + 2, torch.rand(4, 6) > 0.4
    kept = returns[mask].double().numpy()
    expected = (returns.double().numpy() - kept.mean()) / (kept.std(ddof=1) + 1e-8)
    found = whiten(returns, mask)
    np.testing.assert_allclose(found[mask], expected[mask.numpy()], rtol=1e-4, atol=1e-5)
    assert (found[~mask] == 0).all()


def test_no_gradient_flows():
    reward = torch.rand(2, 4, requires_grad=True)
    assert not group_advantage(reward).requires_grad


TOKENS = st.lists(st.tuples(st.floats(-2, 2, width=32), st.booleans()), min_size=6, max_size=6)


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), TOKENS), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.01, 0.5]),
    st.sampled_from([1.0, 0.9]),
)
def test_returns_and_whitening_equal_oracle(rollouts, kl_coefficient, discount):
    reward = torch.tensor([r for r, _ in rollouts])
    kl = torch.tensor([[d for d, _ in tokens] for _, tokens in rollouts])
    mask = torch.tensor([[mine for _, mine in tokens] for _, tokens in rollouts])
    found = token_returns(reward, kl, mask, kl_coefficient, discount)
    expected = [
        oracle.token_returns(r, k, m, kl_coefficient, discount)
        for r, k, m in zip(reward.tolist(), kl.tolist(), mask.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    spread = found[mask].max() - found[mask].min() if mask.any() else torch.tensor(0.0)
    if spread > 1e-2:
        whitened = oracle.whitened(expected, mask.tolist())
        np.testing.assert_allclose(whiten(found, mask), whitened, rtol=2e-2, atol=2e-3)


def test_returns_of_three_tokens_by_hand():
    """The reward stands at the last token that the model wrote; a tool's token is passed over."""
    kl = torch.tensor([[1.0, 9.0, 2.0, 9.0]])
    mask = torch.tensor([[True, False, True, False]])
    found = token_returns(torch.tensor([1.0]), kl, mask, 0.1, 0.5)
    torch.testing.assert_close(found, torch.tensor([[-0.1 + 0.5 * 0.8, 0.0, 0.8, 0.0]]))


def test_returns_are_the_reward_alone_unless_asked():
    kl, mask = torch.ones(1, 2, dtype=torch.bfloat16), torch.ones(1, 2, dtype=torch.bool)
    found = token_returns(torch.tensor([0.3]), kl, mask)
    assert found.dtype == torch.float32  # half precision would make 0.3008 of it
    torch.testing.assert_close(found, torch.tensor([[0.3, 0.3]]))


def test_unscored_rollouts_have_no_return():
    kl, mask = torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)
    assert token_returns(torch.tensor([math.nan]), kl, mask).isnan().all()


def test_a_group_of_equal_rewards_is_zero_beside_one_of_others():
    """Seven times 0.1 has a mean that float32 does not reach."""
    found = group_advantage(torch.tensor([[0.1] * 7, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]))
    assert found[0].tolist() == [0.0] * 7
    assert group_advantage(torch.tensor([[0.1] * 6 + [math.nan]])).eq(0).all()


def test_what_is_added_to_the_standard_deviation_by_hand():
    # The standard deviation of 0 and 1 is the root of 1/2.
    found = group_advantage(torch.tensor([[0.0, 1.0]]), eps=1.0)
    expected = 0.5 / (math.sqrt(0.5) + 1)
    torch.testing.assert_close(found, torch.tensor([[-expected, expected]]))


def test_alpha_is_a_tenth():
    score, scored = torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[False, True, True]])
    expected = 0.1 / math.sqrt(2)
    torch.testing.assert_close(
        diversity_advantage(score, scored), torch.tensor([[0.0, -expected, expected]])
    )
