"""Advantages of a batch, worked by hand; processes as threads."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from scgrpo.credit.advantages import GroupInGroup, Whitened, group_normalised, no_advantage
from scgrpo.rollouts import total_reward
from tests.credit.parts import rollouts_of
from tests.processes import in_processes

TEXTS = ["ab", "cdef", "g", "hij"]
REWARDS = [1.0, 0.0, 0.5, 0.0]


def whitened(world, reward_kl=0.0, discount=1.0):
    batch, step = rollouts_of(TEXTS, REWARDS, 2, world)
    batch["ref_per_token_logps"] = torch.full(batch["completion_ids"].shape, -1.5)
    sampled = torch.full(batch["completion_ids"].shape, -1.0)
    estimate = Whitened(reward_kl, discount, lambda _: sampled)
    advantage, logged = estimate(batch, step)
    return advantage, batch["completion_mask"].bool(), logged


def by_hand(reward_kl, discount):
    """Returns of each token, the last one's first, less the mean, over the sample deviation."""
    returns = []
    for text, reward in zip(TEXTS, REWARDS, strict=True):
        value, own = 0.0, []
        for t in reversed(range(len(text))):
            value = reward if t == len(text) - 1 else discount * value
            value -= reward_kl * 0.5
            own.insert(0, value)
        returns.append(own)
    flat = np.concatenate(returns)
    return [(np.array(r) - flat.mean()) / (flat.std(ddof=1) + 1e-8) for r in returns]


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize(("reward_kl", "discount"), [(0.0, 1.0), (0.1, 0.9)])
def test_returns_are_whitened_over_all_processes(processes, reward_kl, discount):
    found = in_processes(processes, lambda world: whitened(world, reward_kl, discount))
    rows = [a[m] for advantage, mask, _ in found for a, m in zip(advantage, mask, strict=True)]
    for row, expected in zip(rows, by_hand(reward_kl, discount), strict=True):
        np.testing.assert_allclose(row.numpy(), expected, atol=1e-5)
    for _, _, logged in found:
        assert logged["reward_kl"] == pytest.approx(0.5 if reward_kl else 0.0)


def test_an_unscored_rollout_moves_nobody():
    batch, step = rollouts_of(TEXTS, [1.0, 0.0, float("nan"), 0.0], 2)
    advantage, _ = Whitened(0.0, 1.0, lambda _: None)(batch, step)
    scored = np.array([1.0] * 2 + [0.0] * 7)
    assert not advantage[2].any()
    expected = (1.0 - scored.mean()) / scored.std(ddof=1)
    np.testing.assert_allclose(advantage[0, :2].numpy(), expected, rtol=1e-5)


def test_the_weighted_sum_of_all_functions_is_whitened():
    per_func = torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 1.0], [torch.nan, torch.nan]])
    total = total_reward(per_func, torch.tensor([1.0, 3.0]))
    assert total[:3].tolist() == [7.0, 0.0, 3.0] and total[3].isnan()
    batch, step = rollouts_of(TEXTS, REWARDS, 2)
    step = replace(step, total_NG=total.nan_to_num(0).view(2, 2))
    advantage, _ = Whitened(0.0, 1.0, lambda _: None)(batch, step)
    returns = np.array([7.0] * 2 + [0.0] * 4 + [3.0] + [0.0] * 3)
    expected = (returns - returns.mean()) / returns.std(ddof=1)
    mask = batch["completion_mask"].bool()
    np.testing.assert_allclose(advantage[mask].numpy(), expected, rtol=1e-5)


def test_grpo_takes_trls_and_distillation_none():
    batch, step = rollouts_of(TEXTS, REWARDS, 2)
    assert group_normalised(batch, step)[0] is batch["advantages"]
    nothing, _ = no_advantage(batch, step)
    assert nothing.shape == batch["advantages"].shape and not nothing.any()


# Two groups of four episodes: w is a written token, digits are what a tool said.
EPISODES = (
    ["ww11ww22w", "w11w22w", "w11w33w", "www", "w11w", "w", "w44w", "w11ww"],
    [1.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0],
)


def by_state(world):
    texts, rewards = EPISODES
    batch, step = rollouts_of(texts, rewards, 4, world)
    mask = torch.zeros(batch["completion_ids"].shape, dtype=torch.int64)
    for row, text in enumerate(texts[step.local]):
        mask[row, : len(text)] = torch.tensor([letter == "w" for letter in text]).long()
    advantage, _ = GroupInGroup(0.5)(batch | {"tool_mask": mask}, step)
    return advantage, mask.bool()


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_turns_that_answer_the_same_are_compared(processes):
    """Returns halve with each turn to come; states are compared within a group alone."""
    texts, rewards = EPISODES
    turns = [re.findall("w+|[0-9]+", text) for text in texts]
    states: dict = {}
    returns: dict = {}
    for row, runs in enumerate(turns):
        own = ["", *runs[1::2]]
        for t, state in enumerate(own):
            returns[row, t] = rewards[row] * 0.5 ** (len(own) - 1 - t)
            states.setdefault((row // 4, state), []).append((row, t))
    by_turn = {}
    for members in states.values():
        values = np.array([returns[m] for m in members])
        spread = values.std(ddof=1) if len(values) > 1 else 1.0
        scaled = (values - values.mean()) / (spread + 1e-6)
        by_turn |= dict(zip(members, scaled, strict=True))
    found = in_processes(processes, by_state)
    rows = [(a, m) for advantage, mask in found for a, m in zip(advantage, mask, strict=True)]
    for row, (advantage, mask) in enumerate(rows):
        group = np.array(rewards[row // 4 * 4 :][:4])
        whole = (rewards[row] - group.mean()) / (group.std(ddof=1) + 1e-4)
        expected = [[whole + by_turn[row, t]] * len(text) for t, text in enumerate(turns[row][::2])]
        flat = np.concatenate(expected)
        np.testing.assert_allclose(advantage[mask].numpy(), flat, atol=1e-4)
        assert not advantage[~mask].any()
    # The third turns of the first group: one went on from 22 to succeed, one to fail.
    assert by_turn[0, 2] > 0 > by_turn[1, 2] and by_turn[2, 2] == 0


def test_an_unscored_episode_is_compared_with_nobody():
    texts, rewards = EPISODES[0][:4], [1.0, float("nan"), 0.0, 0.5]
    batch, step = rollouts_of(texts, rewards, 4)
    advantage, _ = GroupInGroup(1.0)(batch, step)
    alone, _ = group_normalised(batch, step)
    assert (advantage[1, : len(texts[1])] == alone[1]).all()
    # One turn each without a mask of tools: 1, 0 and 0.5 beside their mean, over 0.5.
    for row, own in ((0, 1.0), (2, -1.0), (3, 0.0)):
        assert advantage[row, 0].item() == pytest.approx(alone[row].item() + own, abs=1e-4)
