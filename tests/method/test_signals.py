"""Weights: what they are on numbers worked by hand, and what is refused."""

import math

import pytest
import torch

from scgrpo.method import WEIGHTS, as_weight, credit_weight
from scgrpo.method.signals import bounded

SIGNALS = {
    "kl": torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]),
    "credit": torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]),
    "entropy": torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]),
    "disagreement": torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4]),
}


def median(values):
    return values.median()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("credit", [0.0, 0.25, 0.5, 0.75, 1.0]),
        # The 80th percentile of 0..4 lies at 3.2.
        ("entropy", [0.0, 0.0, 0.0, 0.0, 1.0]),
        ("credit*entropy", [0.0, 0.25 / 3.2, 0.5 * 2 / 3.2, 0.75 * 3 / 3.2, 1.0]),
        ("credit+entropy", [0.0, 0.125 + 0.5 / 3.2, 0.25 + 1 / 3.2, 0.375 + 1.5 / 3.2, 1.0]),
        # d / (d + 0.2), 0.2 being what `scale` says.
        ("disagreement", [0.0, 1 / 3, 0.5, 0.6, 2 / 3]),
    ],
)
def test_by_hand(name, expected):
    weight = as_weight(name, WEIGHTS[name])(SIGNALS, median)
    torch.testing.assert_close(weight, torch.tensor(expected))


LN2, LN4 = math.log(2), math.log(4)
# A token twice, four times, half and a quarter as likely to the teacher, and one of advantage 0.
OPINIONS = {
    "log_ratio": torch.tensor([LN2, LN4, -LN2, -LN4, LN4]),
    "contrast_log_ratio": torch.tensor([-LN4, LN4, LN4, LN2, LN2]),
    "contrast_kl": torch.tensor([0.0, 0.1, 0.2, 0.3, 0.6]),
    "advantage": torch.tensor([0.5, 1.0, -2.0, 0.1, 0.0]),
    "credit": torch.tensor([0.5, 0.25, 1.0, 0.4, 0.75]),
}


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("signed", {}, [2, 2, 2, 0.25, 1]),
        ("signed", {"low": 0.5, "high": 1.5}, [1.5, 1.5, 1.5, 0.5, 1]),
        ("reversed", {}, [0.5, 0.25, 0.5, 2, 1]),
        ("reversed", {"low": 0.5, "high": 1.5}, [0.5, 0.5, 0.5, 1.5, 1]),
        ("signed*credit", {}, [1, 0.5, 2, 0.1, 0.75]),
        ("signed*credit", {"low": 0.5, "high": 1.5}, [0.75, 0.375, 1.5, 0.2, 0.75]),
        # d / (d + 0.2), 0.2 being what `scale` says.
        ("contrast", {}, [0, 1 / 3, 0.5, 0.6, 0.75]),
        ("signed-contrast", {}, [0.25, 2, 0.25, 2, 1]),
        ("signed-contrast", {"low": 0.5, "high": 1.5}, [0.5, 1.5, 0.5, 1.5, 1]),
        ("inverse", {}, [0.5, 0.75, 0, 0.6, 0.25]),
        # `shuffle` turns the vector round.
        ("shuffled", {}, [0.75, 0.4, 1, 0.25, 0.5]),
        ("signed-shuffled", {}, [1, 0.25, 2, 2, 2]),
        ("signed-shuffled", {"low": 0.5, "high": 1.5}, [1, 0.5, 1.5, 1.5, 1.5]),
    ],
)
def test_opinions_and_controls_by_hand(name, options, expected):
    weight = as_weight(name, WEIGHTS[name], **options)(OPINIONS, median, lambda x: x.flip(0))
    torch.testing.assert_close(weight, torch.tensor(expected, dtype=torch.float32))


def test_only_weights_with_limits_of_their_own_are_bounded():
    limited = {"signed", "reversed", "signed*credit", "signed-contrast", "signed-shuffled"}
    assert {name for name, function in WEIGHTS.items() if bounded(function)} == limited


def test_the_percentile_itself_counts_and_small_entropies_are_no_trouble():
    # Of six tokens the 80th percentile is the fifth value.
    entropy = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    found = as_weight("entropy", WEIGHTS["entropy"])({"entropy": entropy}, median)
    assert found.tolist() == [0, 0, 0, 0, 1, 1]
    credit = torch.full((6,), 0.5)
    small = {"credit": credit, "entropy": entropy / 10}
    found = as_weight("mine", WEIGHTS["credit*entropy"])(small, median)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.125, 0.25, 0.375, 0.5, 0.5]))
    none = {"credit": credit, "entropy": torch.zeros(6)}
    assert as_weight("mine", WEIGHTS["credit*entropy"])(none, median).tolist() == [0.0] * 6


def test_a_function_gets_what_its_parameters_name():
    def mine(logp, scale, kl):
        return credit_weight(kl, scale(kl)) * -logp

    weight = as_weight("mine", mine)
    assert weight.signals == ("logp", "scale", "kl")
    found = weight({**SIGNALS, "logp": torch.full((5,), -2.0)}, median)
    torch.testing.assert_close(found, 2 * SIGNALS["kl"] / (SIGNALS["kl"] + 2.0))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda kl: kl[:2], r"returned \(2,\) for \(5,\) tokens; return one weight per token"),
        (lambda kl: 1.0, r"returned float for \(5,\) tokens"),
        (lambda kl: kl - 1, "returned -1 to 3; weights are finite and at least 0"),
        (lambda kl: 0 / kl, "returned nan"),
    ],
)
def test_what_is_no_weight_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        as_weight("mine", function)(SIGNALS, median)


def test_an_unknown_signal_is_refused():
    with pytest.raises(ValueError, match="asks for 'fame', which is no signal; its parameters"):
        as_weight("mine", lambda fame: fame)


def test_weights_carry_no_gradient():
    kl = torch.ones(3, requires_grad=True)
    assert not as_weight("mine", lambda kl: 2 * kl)({"kl": kl}, median).requires_grad
