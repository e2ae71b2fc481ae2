"""GiGPO's advantage of turns, by hand."""

import math

import torch

from scgrpo.rivals import step_advantage


def test_by_hand():
    # State 7 is answered three times, with returns 1, 0 and 0.5: mean 0.5, deviation 0.5; state 2
    # twice, with 0.9 and 0: mean 0.45, deviation 0.9 / sqrt 2; state 5 once.
    returns = torch.tensor([1.0, 0.9, 0.0, 0.0, 0.5, 0.3])
    state = torch.tensor([7, 2, 7, 2, 7, 5])
    half = 0.45 / (0.9 / math.sqrt(2))
    expected = torch.tensor([1.0, half, -1.0, -half, 0.0, 0.0])
    torch.testing.assert_close(step_advantage(returns, state), expected, atol=1e-5, rtol=0)


def test_equal_returns_say_nothing():
    state = torch.tensor([1, 1, 1])
    assert step_advantage(torch.full((3,), 0.1), state).abs().max() < 1e-3
    assert step_advantage(torch.zeros(0), torch.zeros(0, dtype=torch.int64)).shape == (0,)
