"""The draw of references: who may be drawn, how often, and by what it is keyed."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from scgrpo.method import REFERENCE_SETS, Route, draw_elsewhere, draw_references, route_groups
from tests.method.test_routing import GROUPS


def draw(reward, reference_set="partial+none", **key):
    reward = torch.tensor(reward)
    keys = {"seed": 0, "step": 0} | key
    drawn = draw_references(reward, route_groups(reward, reference_set), **keys)
    return drawn[:, :, 0].tolist()


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


@pytest.mark.parametrize(("memory", "count"), [(0, 1), (0, 2), (1, 1), (1, 2)])
def test_each_rollout_is_shown_a_uniform_draw_though_the_group_shares_it(
    memory, count, monkeypatch
):
    """All outcomes of the one draw: each rollout sees every R of its candidates equally often."""
    reward, verified = [[1.0, 0.0, 1.0, 1.0, 0.0]], [0, 2, 3]
    pool = [*verified, *range(5, 5 + memory)]
    seen = [Counter() for _ in range(5)]
    for outcome in itertools.permutations(pool):

        class Fixed(random.Random):
            def sample(self, candidates, number):
                assert sorted(candidates) == sorted(pool) and number == len(pool)
                return list(outcome)  # noqa: B023 -- used within the round

        monkeypatch.setattr(random, "Random", Fixed)
        _, (drawn,) = several(reward, count, [memory])
        assert len({j for rollout in drawn for j in rollout}) <= count + 1
        for rollout, shown in enumerate(drawn):
            seen[rollout][tuple(shown)] += 1
    for rollout, counts in enumerate(seen):
        others = [j for j in pool if j != rollout]
        expected = list(itertools.permutations(others, count))
        times = math.factorial(len(pool)) // len(expected)
        assert counts == dict.fromkeys(expected, times)


def test_independent_draws_of_a_group_differ():
    reward = [[1.0] * 7 + [0.0]] * 50
    _, drawn = several(reward, 1, shared=False)
    assert max(len({shown[0] for shown in rollouts}) for rollouts in drawn) > 2
    _, drawn = several(reward, 1)
    assert {len({shown[0] for shown in rollouts}) for rollouts in drawn} == {2}


def test_independent_draws_are_uniform():
    _, drawn = several([[1.0, 1.0, 0.0, 1.0, 1.0]] * 4000, 1, shared=False)
    first = torch.tensor(drawn)[:, :, 0]
    counts = [int((first[:, 0] == other).sum()) for other in (1, 3, 4)]
    assert sum(counts) == 4000 and chisquare(counts).pvalue > 0.001
    pairs = Counter(zip(first[:, 2].tolist(), first[:, 0].tolist(), strict=True))
    assert chisquare([pairs[a, b] for a in (0, 1, 3, 4) for b in (1, 3, 4)]).pvalue > 0.001


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


def several(reward, count, remembered=None, reference_set="partial+none", **key):
    reward = torch.tensor(reward)
    counts = None if remembered is None else torch.tensor(remembered)
    route = route_groups(reward, reference_set, remembered=counts)
    keys = {"seed": 0, "step": 0} | key
    return route.tolist(), draw_references(
        reward, route, count=count, remembered=counts, **keys
    ).tolist()


@given(GROUPS, st.integers(1, 5), st.integers(0, 99))
def test_several_references_are_distinct_and_the_first_does_not_depend_on_their_number(
    groups, count, seed
):
    _, drawn = several(groups, count, seed=seed)
    assert [[r[0] for r in rows] for rows in drawn] == draw(groups, seed=seed)
    for reward, rows in zip(groups, drawn, strict=True):
        verified = {i for i, r in enumerate(reward) if r == 1.0}
        for i, references in enumerate(rows):
            found = [r for r in references if r >= 0]
            assert len(found) == len(set(found)) and i not in found
            if found and set(found) <= verified:
                assert len(found) == min(count, len(verified - {i}))


def test_nobody_is_shown_anything_where_all_rollouts_are_hidden():
    hidden, routes = torch.full((2, 3), math.nan), torch.tensor([Route.NONE, Route.PARTIAL])
    for shared in (True, False):
        drawn = draw_references(hidden, routes, seed=0, step=0, shared=shared)
        assert drawn.flatten().tolist() == [-1] * 6


def test_remembered_rollouts_serve_lone_and_unsolved_groups():
    solved, failed = [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    routes, drawn = several([solved, failed, failed], 2, [1, 2, 0])
    assert routes == [Route.PARTIAL, Route.NONE, Route.NONE]
    assert drawn[0][0] == [3, -1]  # the lone verified rollout is shown the remembered one
    assert all(set(rollout) == {0, 3} for rollout in drawn[0][1:])
    assert all(set(rollout) == {3, 4} for rollout in drawn[1])
    assert sorted(rollout[0] for rollout in drawn[2])[0] == -1  # a failed one is its own reference


def test_without_memory_a_lone_verified_rollout_stays_plain():
    assert several([[1.0, 0.0, 0.0]], 1, [0])[0] == [Route.PLAIN]
    assert several([[1.0, 1.0, 1.0]], 1, [3])[0] == [Route.PLAIN]


@given(GROUPS, st.sampled_from(["failed", "same-outcome"]), st.integers(0, 9))
def test_controls_show_what_their_names_say(groups, kind, seed):
    """Only partly solved groups are shown anything else than the method would show them."""
    routes = route_groups(torch.tensor(groups), "any-partial").tolist()
    drawn = draw(groups, "any-partial", seed=seed, kind=kind)
    for reward, route, references in zip(groups, routes, drawn, strict=True):
        for i, reference in enumerate(references):
            others = {j for j, r in enumerate(reward) if not math.isnan(r)} - {i}
            failed = {j for j in others if reward[j] < 1.0}
            allowed = others - failed if kind == "same-outcome" and reward[i] == 1.0 else failed
            if route == Route.PLAIN or math.isnan(reward[i]):
                allowed = set()
            assert (reference in allowed) if allowed else (reference == -1)


def elsewhere(reward, problems, **key):
    reward = torch.tensor(reward)
    route = route_groups(reward, "partial")
    keys = {"seed": 0, "step": 0} | key
    return draw_elsewhere(reward, route, problems, **keys)[:, :, 0].tolist()


def test_references_of_other_problems():
    reward = [[1.0, 1.0, 0.0], [0.0, 1.0, math.nan], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    first, second, third, fourth = elsewhere(reward, ["a", "b", "a", "c"])
    # The first and the third are of one problem; verified elsewhere are 4 and 9, 10, 11.
    assert set(first + third) <= {4, 9, 10, 11} and second == fourth == [-1] * 3
    every = [elsewhere(reward, ["a", "b", "a", "c"], step=step)[0] for step in range(40)]
    assert {r for drawn in every for r in drawn} == {4, 9, 10, 11}
    assert elsewhere(reward, ["a"] * 4) == [[-1] * 3] * 4


def test_verified_elsewhere_is_from_the_threshold_on():
    reward = [[0.6, 0.0], [0.4, 0.0], [0.9, 0.2]]
    routes = torch.tensor([int(Route.PARTIAL), int(Route.PLAIN), int(Route.PARTIAL)])
    found = draw_elsewhere(
        torch.tensor(reward), routes, list("abc"), seed=0, step=0, solve_threshold=0.5
    )
    assert found[:, :, 0].tolist() == [[4, 4], [-1, -1], [0, 0]]
    assert found.dtype == torch.int64


def test_groups_elsewhere_draw_for_themselves_and_by_their_own_number():
    """A group's draw depends on its number in the step, whichever process has it."""
    size = 6
    reward = torch.tensor([[1.0] * (size - 1) + [0.0]] * 4)
    routes = torch.full((4,), int(Route.PARTIAL))

    def drawn(first_group, **options):
        found = draw_elsewhere(
            reward, routes, list("abcd"), seed=1, step=2, first_group=first_group, **options
        )
        return found[:, :, 0].tolist()

    shared, alone = drawn(0), drawn(0, shared=False)
    assert all(len(set(group)) == 1 for group in shared)
    assert all(len(set(group)) > 1 for group in alone)
    positions = [sorted(i for i in range(24) if i // 6 != g and i % 6 != 5) for g in range(4)]
    for first in (0, 3):
        expected = [
            random.Random(f"1/2/{first + g}/other-problem").sample(positions[g], 15)[0]
            for g in range(4)
        ]
        assert [group[0] for group in drawn(first)] == expected
    assert draw_elsewhere(reward, routes, list("abcd"), seed=1, step=2)[:, :, 0].tolist() == shared


def test_verified_of_a_group_is_from_the_threshold_on():
    routes = torch.tensor([int(Route.PARTIAL)])
    found = draw_references(
        torch.tensor([[0.6, 0.4, 0.0]]), routes, seed=0, step=0, solve_threshold=0.5
    )
    assert found[0, :, 0].tolist() == [-1, 0, 0]


def test_kinds_draw_apart_and_verified_ones_by_seed_step_and_group():
    reward = torch.tensor([[1.0] * 8 + [0.0] * 8] * 5)
    routes = torch.full((5,), int(Route.PARTIAL))
    for kind, salt, places in (("verified", "", range(8)), ("failed", "/failed", range(8, 16))):
        found = draw_references(reward, routes, seed=3, step=4, first_group=2, kind=kind)
        orders = [random.Random(f"3/4/{2 + g}{salt}").sample(list(places), 8) for g in range(5)]
        outside = 15 if kind == "verified" else 0
        assert found[:, outside, 0].tolist() == [order[0] for order in orders]


def test_an_unscored_rollout_is_shown_nothing_remembered():
    reward = torch.tensor([[0.0, math.nan, 0.0]])
    routes = torch.tensor([int(Route.NONE)])
    found = draw_references(reward, routes, seed=0, step=0, remembered=torch.tensor([1]))
    assert found[0, :, 0].tolist() == [3, -1, 3]
