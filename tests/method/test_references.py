"""The draw of references: who may be drawn, how often, and by what it is keyed."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from scgrpo.method import REFERENCE_SETS, Route, draw_references, route_groups
from tests.method.test_routing import GROUPS


def draw(reward, reference_set="partial+none", **key):
    reward = torch.tensor(reward)
    keys = {"seed": 0, "step": 0} | key
    return draw_references(reward, route_groups(reward, reference_set), **keys).tolist()


@given(GROUPS, st.sampled_from(REFERENCE_SETS), st.integers(0, 9), st.integers(0, 9))
def test_only_what_the_route_allows_and_never_itself(groups, reference_set, seed, step):
    routes = route_groups(torch.tensor(groups), reference_set).tolist()
    drawn = draw(groups, reference_set, seed=seed, step=step)
    for reward, route, references in zip(groups, routes, drawn, strict=True):
        scored = {i for i, r in enumerate(reward) if not math.isnan(r)}
        verified = {i for i, r in enumerate(reward) if r == 1.0}
        if route == Route.PLAIN:
            assert set(references) == {-1}
        elif route == Route.PARTIAL:
            for i, reference in enumerate(references):
                allowed = verified - {i} if i in scored else set()
                assert (reference in allowed) if allowed else (reference == -1)
        else:
            shared = {r for r in references if r != -1}
            without = {i for i in scored if references[i] == -1}
            assert len(without) == 1 and shared <= without
            assert {i for i in scored if references[i] != -1} == scored - without


def test_uniform_over_the_other_verified_rollouts():
    reward = [[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]] * 6000
    drawn = torch.tensor(draw(reward))
    for rollout, others in ((0, [1, 3, 4]), (2, [0, 1, 3, 4])):
        counts = [int((drawn[:, rollout] == other).sum()) for other in others]
        assert sum(counts) == 6000
        assert chisquare(counts).pvalue > 0.001


def test_shared_reference_is_uniform_over_the_group():
    drawn = torch.tensor(draw([[0.0] * 4] * 4000))
    counts = [int((drawn[:, i] == -1).sum()) for i in range(4)]
    assert chisquare(counts).pvalue > 0.001


@given(GROUPS, st.integers(0, 99), st.integers(0, 99))
def test_draw_does_not_depend_on_how_groups_are_batched(groups, seed, step):
    whole = draw(groups, seed=seed, step=step)
    single = [
        draw([group], seed=seed, step=step, first_group=number)[0]
        for number, group in enumerate(groups)
    ]
    assert whole == single


def test_seed_step_and_group_each_matter():
    reward = [[1.0] * 7 + [0.0]] * 4
    base = draw(reward)
    assert draw(reward) == base
    for key in ({"seed": 1}, {"step": 1}, {"first_group": 7}):
        assert draw(reward, **key) != base
    assert len({tuple(row) for row in base}) > 1


def test_lone_verified_rollout_has_no_reference():
    (references,) = draw([[0.0, 1.0, 0.0, 0.0]], "any-partial")
    assert references == [1, -1, 1, 1]


def test_torch_seed_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    draw([[0.0] * 4])
    assert torch.equal(torch.rand(1), expected)
