"""Threshold and weight against the oracle and NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scgrpo.method import credit_weight, quantile, threshold
from tests.method import oracle

KL = st.floats(0, 50, width=32)


@given(st.lists(KL, min_size=1, max_size=40), st.floats(0, 1))
def test_quantile_equals_oracle(values, level):
    found = quantile(torch.tensor(values), level).item()
    assert found == pytest.approx(oracle.percentile(values, 100 * level), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "level", "expected"),
    [
        ([3.0], 0.75, 3.0),
        ([0.0, 1.0], 0.75, 0.75),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.75, 4.0),
        ([1.0, 7.0, 7.0, 7.0], 0.75, 7.0),
        ([0.0, 0.0, 0.0, 9.0], 0.75, 2.25),
    ],
)
def test_quantile_by_hand(values, level, expected):
    assert quantile(torch.tensor(values), level).item() == expected


@pytest.mark.slow
def test_quantile_of_ten_million_values():
    values = torch.from_numpy(np.random.default_rng(0).gamma(0.1, size=10**7).astype(np.float32))
    with pytest.raises(RuntimeError, match="too large"):
        torch.quantile(values[: 2**24 + 1].repeat(2), 0.75)
    expected = np.quantile(values.numpy(), 0.75)
    assert quantile(values, 0.75).item() == pytest.approx(expected, rel=1e-6)


def test_quantile_of_nothing_or_beyond():
    assert quantile(torch.tensor([3.0, 1.0, 2.0]), 1.0) == 3
    with pytest.raises(ValueError, match="no values"):
        quantile(torch.zeros(0), 0.5)
    for level in (-0.5, 1.5, 75.0):
        with pytest.raises(ValueError, match=rf"\[0, 1\], got {level}"):
            quantile(torch.zeros(3), level)


@given(
    st.lists(st.tuples(KL, st.booleans()), min_size=1, max_size=30),
    st.sampled_from([25.0, 50.0, 75.0, 90.0]),
)
def test_threshold_takes_the_active_tokens_only(tokens, percent):
    kl, active = torch.tensor([d for d, _ in tokens]), torch.tensor([a for _, a in tokens])
    expected = oracle.threshold([d for d, a in tokens if a], percent)
    assert threshold(kl, active, percent).item() == pytest.approx(expected, rel=1e-5)


def test_floor_where_all_kl_is_zero_or_nothing_is_active():
    kl = torch.zeros(2, 3)
    assert threshold(kl, torch.ones(2, 3, dtype=torch.bool)).item() == pytest.approx(1e-4)
    assert threshold(kl + 5, torch.zeros(2, 3, dtype=torch.bool)).item() == pytest.approx(1e-4)


@given(KL, st.floats(0.125, 10, width=32))
def test_weight_equals_oracle_and_stays_below_one(d, c):
    f = credit_weight(torch.tensor(d), torch.tensor(c)).item()
    assert f == pytest.approx(oracle.weight(d, c), rel=1e-5)
    assert 0 <= f <= 1


def test_weight_of_zero_scale_and_infinite_looking_kl():
    f = credit_weight(torch.tensor([0.0, 0.02, 2e4]), torch.tensor(0.02))
    torch.testing.assert_close(f, torch.tensor([0.0, 0.5, 1.0]), atol=2e-6, rtol=0)


def test_weight_is_a_constant_for_the_gradient():
    kl = torch.tensor([0.1], dtype=torch.bfloat16, requires_grad=True)
    f = credit_weight(kl, torch.tensor(0.1))
    assert not f.requires_grad and f.dtype == torch.float32
