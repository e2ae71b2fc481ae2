"""Dynamic sampling: which groups stay, what replaces the others, and when it gives up."""

import logging

import pytest
import torch

from scgrpo.trainer.dynamic_sampling import DataExhausted, DynamicSampling, informative
from scgrpo.world import OneProcess
from tests.trainer.runs import config, keep_records, trainer
from tests.trainer.test_equals_trl import TRLS_CUT, assert_same_run, trl_run
from tests.trainer.tiny import tiny_dataset

GROUP = 8


def letter_of(prompt):
    return prompt[-1]["content"][-1]


def mixed(prompts, letters):
    """Rewards that differ within the groups of these letters and are equal in all others."""
    return [
        float(i % GROUP < 3) if letter_of(prompt) in letters else 1.0
        for i, prompt in enumerate(prompts)
    ]


def step_of(tmp_path, letters, rows=16, **overrides):
    """Records and logged numbers of one step in which only some letters teach."""
    args = config(tmp_path, "dapo", max_steps=1, rollout_steps=1, **overrides)
    run = trainer(
        args, reward=lambda prompts, **_: mixed(prompts, letters), train_dataset=tiny_dataset(rows)
    )
    records = keep_records(run)
    run.train()
    return records, run.state.log_history[0], run


def test_informative_by_hand():
    nan = float("nan")
    reward = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [nan, 1.0], [nan, nan], [0.2, 0.3]])
    assert informative(reward).tolist() == [False, True, False, False, False, True]


def test_every_group_of_the_batch_teaches(tmp_path):
    letters = "bdfhjlnp"
    records, logged, _ = step_of(tmp_path, letters)
    assert len(records) == 32 and {r["group"] for r in records} == {0, 1, 2, 3}
    assert {r["prompt"][-1] for r in records} <= set(letters)
    assert len({r["prompt"] for r in records}) == 4
    assert all(any(r["advantage"] > 0 for r in records if r["group"] == g) for g in range(4))
    assert logged["sampling/masked_groups"] == 0
    assert logged["sampling/rounds"] >= 1 and 0 < logged["sampling/kept_share"] < 1


def test_no_problem_is_drawn_afresh_twice_in_a_step(tmp_path):
    """Two generation batches make one optimizer step; each has two groups."""
    args = config(
        tmp_path,
        "dapo",
        max_steps=1,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=2,
        steps_per_generation=1,
    )
    sampled = []

    def reward(prompts, **_):
        sampled.extend(dict.fromkeys(prompt[-1]["content"] for prompt in prompts))
        return mixed(prompts, "qrstuv")

    run = trainer(args, reward=reward, train_dataset=tiny_dataset(26))
    run.train()
    assert len(sampled) > 8 and len(set(sampled)) == len(sampled)
    assert run.state.log_history[0]["sampling/masked_groups"] == 0


@pytest.mark.slow
def test_the_same_seed_draws_the_same_batch(tmp_path):
    prompts = [
        [r["prompt"] for r in step_of(tmp_path, "bdfhjlnp", seed=seed)[0]] for seed in (0, 0, 1)
    ]
    assert prompts[0] == prompts[1] != prompts[2]


@pytest.mark.slow
def test_nothing_to_replace_is_trls_own_dapo(tmp_path):
    def ranked(completions, **_):
        texts = [c[-1]["content"] for c in completions]
        return [(i % GROUP) / GROUP for i in range(len(texts))]

    args = config(tmp_path, "dapo", **TRLS_CUT)
    ours = trainer(args, reward=ranked)
    ours.train()
    assert ours.state.log_history[0]["sampling/rounds"] == 0
    assert_same_run(ours, trl_run(args, ranked))


def test_only_the_verifier_says_which_groups_teach(tmp_path):
    """Rewards of another function differ in every group, in the column before the verifier's."""

    def style(prompts, **_):
        return [i % GROUP / GROUP for i in range(len(prompts))]

    def solved(prompts, **_):
        return mixed(prompts, "bdfhjlnp")

    args = config(tmp_path, "dapo", max_steps=1, verifier="solved")
    run = trainer(args, reward=[style, solved])
    run.train()
    assert run.state.log_history[0]["sampling/rounds"] >= 1
    assert {letter_of(prompt) for prompt in run._attached.step.rollouts.prompts} <= set("bdfhjlnp")
    differs = run._attached.step.rollouts.reward_per_func.view(4, GROUP, 2).std(1) > 0
    assert differs.all()


def test_a_short_batch_is_masked_and_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        records, logged, run = step_of(tmp_path, "b")
    assert logged["sampling/masked_groups"] == 3
    assert logged["credit/route_partial"] == 1.0, "masked groups are not counted"
    assert "1 of 4 groups have different rewards" in caplog.text
    assert "the rest of the batch is masked" in caplog.text
    assert sum(r["prompt"][-1] == "b" for r in records) == GROUP
    (batch,) = run._buffered_inputs
    taught = batch["completion_mask"].sum(1) > 0
    assert int(taught.sum()) == GROUP
    # The mean is over the tokens of the group that teaches: nothing is diluted.
    assert batch["num_items_in_batch"] == batch["completion_mask"].sum()


def test_the_bound_on_extra_generations(tmp_path, caplog):
    _, logged, _ = step_of(tmp_path, "bdfhjlnprtvxz", rows=26, resample_rounds=1)
    assert logged["sampling/rounds"] <= 1
    assert "after 1 extra generations" in caplog.text or logged["sampling/masked_groups"] == 0


def test_exhausted_data_is_said_clearly(tmp_path):
    with pytest.raises(DataExhausted, match=r"step 0: 0 of 4 groups .*\(16 groups in all") as error:
        step_of(tmp_path, "")
    assert "the policy solves all or none of each group" in str(error.value)


def test_fresh_problems_need_rows(tmp_path):
    stream = tiny_dataset().to_iterable_dataset()
    with pytest.raises(ValueError, match="dynamic_sampling draws fresh problems by their number"):
        trainer(config(tmp_path, "dapo"), train_dataset=stream)


def test_soft_overlong_penalty_is_added_and_decides_nothing(tmp_path):
    args = config(tmp_path, "dapo", max_steps=1, overlong_tokens=8, dynamic_sampling=False)
    run = trainer(args)
    run.train()
    assert run.reward_func_names == ["vowels", "soft_overlong_punishment_reward"]
    step = run._attached.step
    assert torch.equal(step.reward_NG.flatten(), step.rollouts.reward_per_func[:, 0])
    lengths = torch.tensor([len(ids) for ids in run._attached.step.rollouts.completion_ids])
    # DAPO, Eq. 13, for L_max = 16 and L_cache = 8.
    expected = torch.where(lengths <= 8, 0.0, (8 - lengths) / 8)
    torch.testing.assert_close(run._attached.step.rollouts.reward_per_func[:, 1], expected)
    with pytest.raises(ValueError, match="overlong_tokens is 16, but a completion has at most 16"):
        trainer(config(tmp_path, "dapo", overlong_tokens=16))


def test_fresh_problems_depend_on_seed_and_step():
    def order(seed, step):
        sampling = DynamicSampling(OneProcess(), tiny_dataset(16), 4, 10, seed, 0)
        return [row["answer"] for row in sampling._fresh_rows(step)]

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(seed, step)) for seed in (0, 1) for step in (1, 2)}) == 4
    assert sorted(order(0, 1)) == sorted(tiny_dataset(16)["answer"])
