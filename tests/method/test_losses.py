"""The clipped surrogate and its means against the oracle and autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scgrpo.method import (
    clipped_divergence,
    clipped_surrogate,
    sequence_mean,
    token_mean,
    warmed,
)
from tests.method import oracle

SHAPE = (3, 5)
LOGP = arrays(np.float32, SHAPE, elements=st.floats(-5, 0, width=32))
ADVANTAGE = arrays(np.float32, SHAPE, elements=st.floats(-3, 3, width=32))
MASK = arrays(np.bool_, SHAPE)


@given(LOGP, LOGP, ADVANTAGE)
def test_surrogate_equals_oracle(logp, old_logp, advantage):
    found = clipped_surrogate(*map(torch.from_numpy, (logp, old_logp, advantage)), 0.2, 0.28)
    for index in np.ndindex(SHAPE):
        terms = (float(x[index]) for x in (logp, old_logp, advantage))
        expected = oracle.surrogate(*terms, 0.2, 0.28)
        assert found[index].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@given(LOGP, LOGP, ADVANTAGE, arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32)))
def test_weight_may_be_carried_by_the_advantage(logp, old_logp, advantage, f):
    logp, old_logp, advantage, f = map(torch.from_numpy, (logp, old_logp, advantage, f))
    outside = f * clipped_surrogate(logp, old_logp, advantage)
    inside = clipped_surrogate(logp, old_logp, f * advantage)
    torch.testing.assert_close(inside, outside, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [(1.0, 1, -1), (1.5, 1, 0), (0.5, 1, -0.5), (1.5, -1, 1.5), (0.5, -1, 0), (1.25, 1, -1.25)],
)
def test_gradient_of_one_token_by_hand(ratio, advantage, slope):
    """d loss / d logp = -rho A unless clipping makes it constant."""
    logp = torch.tensor([[np.log(ratio)]], dtype=torch.float32, requires_grad=True)
    old = torch.zeros(1, 1)
    loss = clipped_surrogate(logp, old, torch.tensor([[float(advantage)]]), 0.2, 0.28)
    (gradient,) = torch.autograd.grad(loss.sum(), logp)
    assert gradient.item() == pytest.approx(slope, rel=1e-5)


@given(ADVANTAGE, MASK)
def test_means_equal_oracle(loss, mask):
    tensors = torch.from_numpy(loss), torch.from_numpy(mask)
    expected = oracle.sequence_mean(loss.astype(float), mask)
    assert sequence_mean(*tensors).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    expected = oracle.token_mean(loss.astype(float), mask)
    assert token_mean(*tensors).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_rollouts_count_the_same_or_tokens_do():
    loss = torch.tensor([[1.0, 9.0, 9.0], [4.0, 4.0, 4.0]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    assert sequence_mean(loss, mask).item() == 2.5
    assert token_mean(loss, mask).item() == 13 / 4


def test_empty_rollouts_add_nothing():
    loss = torch.tensor([[2.0], [7.0]])
    mask = torch.tensor([[True], [False]])
    assert sequence_mean(loss, mask).item() == 1.0
    assert token_mean(loss, torch.zeros_like(mask)).item() == 0.0


def test_masked_tokens_may_be_nan():
    loss = torch.tensor([[1.0, torch.nan]])
    mask = torch.tensor([[True, False]])
    assert sequence_mean(loss, mask).item() == token_mean(loss, mask).item() == 1.0


def test_a_clipped_token_has_no_gradient():
    divergence = torch.tensor([0.01, 0.05, 0.2], requires_grad=True)
    value = clipped_divergence(divergence, 0.1)
    assert value.tolist() == pytest.approx([0.01, 0.05, 0.1])
    assert torch.autograd.grad(value.sum(), divergence)[0].tolist() == [1.0, 1.0, 0.0]
    assert clipped_divergence(divergence) is divergence


@pytest.mark.parametrize(
    ("start", "step", "expected"),
    [(0.03, 0, 0.03), (0.03, 25, 0.0475), (0.03, 100, 0.1), (0.03, 500, 0.1), (None, 0, 0.1)],
)
def test_warm_up_by_hand(start, step, expected):
    assert warmed(0.1, start, step, 100) == pytest.approx(expected)


def test_no_steps_of_warm_up_are_no_warm_up():
    assert warmed(0.1, 0.03, 0, 0) == 0.1


def test_clipping_is_at_a_fifth_on_both_sides():
    logp = torch.tensor([[0.5, 1.5]]).log()
    found = clipped_surrogate(logp, torch.zeros(1, 2), torch.tensor([[-1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.8, -1.2]]))
