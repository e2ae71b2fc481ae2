"""Routing against the oracle, and by hand for each row of the ablation."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scgrpo.method import REFERENCE_SETS, Route, route_groups, verified_mask
from tests.method import oracle

REWARD = st.sampled_from([0.0, 0.25, 0.999, 1.0, math.nan])
GROUPS = st.integers(2, 8).flatmap(
    lambda size: st.lists(st.lists(REWARD, min_size=size, max_size=size), min_size=1, max_size=6)
)


@given(GROUPS, st.sampled_from(REFERENCE_SETS), st.sampled_from([0.25, 1.0]))
def test_equals_oracle(groups, reference_set, solve_threshold):
    routes = route_groups(torch.tensor(groups), reference_set, solve_threshold)
    assert routes.tolist() == [oracle.route(g, reference_set, solve_threshold) for g in groups]


@pytest.mark.parametrize(
    ("reference_set", "by_number_verified"),
    [
        ("partial", ["-", "-", "P", "P", "-"]),
        ("partial+none", ["N", "-", "P", "P", "-"]),
        ("any-partial", ["-", "P", "P", "P", "-"]),
        ("all-correct", ["-", "-", "-", "-", "P"]),
        ("all", ["N", "P", "P", "P", "P"]),
    ],
)
def test_groups_of_four_by_hand(reference_set, by_number_verified):
    reward = torch.tensor([[1.0] * n + [0.0] * (4 - n) for n in range(5)])
    letters = {Route.PLAIN: "-", Route.PARTIAL: "P", Route.NONE: "N"}
    found = [letters[Route(r)] for r in route_groups(reward, reference_set).tolist()]
    assert found == by_number_verified


def test_partly_right_but_unsolved_is_a_none_group():
    assert route_groups(torch.tensor([[0.5, 0.9, 0.0]])).tolist() == [Route.NONE]


def test_unscored_rollouts_do_not_unsolve_a_group():
    assert route_groups(torch.tensor([[1.0, 1.0, math.nan]])).tolist() == [Route.PLAIN]
    assert route_groups(torch.full((1, 3), math.nan)).tolist() == [Route.PLAIN]


@pytest.mark.parametrize("reference_set", REFERENCE_SETS)
def test_unscored_rollouts_do_not_count_for_the_size_of_a_group(reference_set):
    """Two of two scored are solved, one of two is partly solved, one of one has no other."""
    nan = math.nan
    reward = torch.tensor([[1.0, 1.0, nan, nan], [1.0, 0.0, nan, nan], [1.0, nan, nan, nan]])
    some = [reference_set in ("all-correct", "all"), reference_set in ("any-partial", "all"), False]
    assert route_groups(reward, reference_set).tolist() == [Route.PARTIAL * is_in for is_in in some]


def test_verified_mask():
    reward = torch.tensor([0.0, 0.5, 1.0, math.nan])
    assert verified_mask(reward).tolist() == [False, False, True, False]
    assert verified_mask(reward, 0.5).tolist() == [False, True, True, False]


def test_unknown_set():
    with pytest.raises(ValueError, match="reference_set is 'some'; choose one of partial"):
        route_groups(torch.zeros(1, 2), "some")
