"""What the trainer attaches: routes, references, D, weights, in every setting it claims."""

import pytest
import torch
from peft import LoraConfig

from scgrpo.credit.scoring import ScoreRequest
from scgrpo.method import credit_weight, diversity_advantage, diversity_score, group_advantage
from tests.credit.test_scoring import dense_kl
from tests.trainer.runs import config, keep_records, trainer, vowels
from tests.trainer.tiny import tiny_model


def one_step(args, **options):
    """Records of the first generation batch, and the trainer after one step."""
    args.max_steps, args.rollout_steps = 1, 1
    run = trainer(args, **options)
    records = keep_records(run)
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.train()
    run.model.load_state_dict(before)
    return records, run


def teacher_ids(run, record, reference):
    builder = run._credit.teacher.prompt_builder
    messages = [{"role": "user", "content": record["prompt"]}]
    student = builder.template.ids(messages)
    ids = reference["completion_ids"]
    return student, builder.build(messages, student, ids, len(record["completion_ids"])).ids


def test_records_recompute_every_weight(tmp_path):
    records, run = one_step(config(tmp_path))
    assert {r["route"] for r in records} >= {"partial", "none"}
    for record in records:
        group = [r for r in records if r["group"] == record["group"]]
        verified = sum(r["reward"] for r in group)
        expected = "none" if verified == 0 else "partial" if 2 <= verified < 8 else "plain"
        assert record["route"] == expected
        if record["kl"] is None:
            assert record["weight"] == [1.0] * len(record["completion_ids"])
            continue
        c = torch.tensor(record["threshold_c"])
        expected_f = credit_weight(torch.tensor(record["kl"]), c)
        torch.testing.assert_close(torch.tensor(record["weight"]), expected_f)
        assert record["reference"] != record["index"]
        reference = group[record["reference"]]
        assert reference["completion"] == record["reference_text"]
        assert expected == "none" or reference["reward"] == 1.0
        student, teacher = teacher_ids(run, record, reference)
        kl = dense_kl(run.model.eval(), ScoreRequest(student, [teacher], record["completion_ids"]))
        torch.testing.assert_close(torch.tensor(record["kl"]).double(), kl, atol=5e-5, rtol=1e-3)


def test_threshold_is_the_percentile_of_all_active_tokens(tmp_path):
    records, _ = one_step(config(tmp_path))
    active = torch.cat([torch.tensor(r["kl"]) for r in records if r["kl"]])
    expected = torch.quantile(active, 0.75).item()
    (c,) = {r["threshold_c"] for r in records}
    assert c == pytest.approx(expected, rel=1e-5)


def test_advantages_of_partial_and_unsolved_groups(tmp_path):
    records, _ = one_step(config(tmp_path))
    for group in range(4):
        rows = [r for r in records if r["group"] == group]
        found = torch.tensor([r["advantage"] for r in rows])
        if rows[0]["route"] != "none":
            # TRL adds 1e-4 to the standard deviation, where the paper's formula has 1e-6.
            expected = group_advantage(torch.tensor([[r["reward"] for r in rows]]), eps=1e-4)[0]
            torch.testing.assert_close(found, expected)
            continue
        (shared,) = [r for r in rows if r["reference"] == -1]
        longest = max(len(r["completion_ids"]) for r in rows)
        kl, written = torch.zeros(8, longest), torch.zeros(8, longest, dtype=torch.bool)
        for i, row in enumerate(rows):
            written[i, : len(row["completion_ids"])] = True
            kl[i, : len(row["kl"] or [])] = torch.tensor(row["kl"] or [])
        length = torch.full((8,), len(shared["completion_ids"]))
        scored = torch.tensor([[r["reference"] >= 0 for r in rows]])
        weight = credit_weight(kl, torch.tensor(rows[0]["threshold_c"]))
        score = diversity_score(weight, written, length)[None]
        expected = diversity_advantage(score, scored, 0.1)[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert shared["advantage"] == 0 and shared["kl"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "cut", "loss_type"),
    [
        ("sc-grpo", 8, "grpo"),
        ("sc-grpo", 16, "grpo"),
        ("sc-grpo-entropy", 8, "dapo"),
        ("entropy-top20", 8, "dapo"),
        ("grpo+rkl", 8, "grpo"),
        ("grpo+bikl", 8, "dapo"),
        ("grpo+fkl", 16, "dr_grpo"),
    ],
)
def test_micro_batches_do_not_matter(tmp_path, preset, cut, loss_type):
    runs = []
    for size in (32, cut):
        args = config(
            tmp_path,
            preset,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=32 // size,
            loss_type=loss_type,
            optim="sgd",
            learning_rate=0.1,
        )
        run = trainer(args)
        run.train()
        runs.append(run)
    scales = [
        [row.get("credit/threshold_c", 0) for row in run.state.log_history if "loss" in row]
        for run in runs
    ]
    assert scales[0] == pytest.approx(scales[1], rel=1e-4)
    for a, b in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"gradient_checkpointing": True}, {"bf16": True}])
def test_added_losses_under_checkpointing_and_half_precision(tmp_path, options):
    logged = []
    for more in ({}, options):
        run = trainer(config(tmp_path, "grpo+rkl", max_steps=1, loss_coefficient=1.0, **more))
        run.train()
        logged.append(run.state.log_history[0])
    tolerance = 0.1 if "bf16" in options else 1e-4
    for name in ("distill/divergence", "grad_norm"):
        assert logged[0][name] > 0
        assert logged[0][name] == pytest.approx(logged[1][name], rel=tolerance)


@pytest.mark.slow
def test_scope_micro_batch_has_one_threshold_each(tmp_path):
    args = config(
        tmp_path,
        threshold_scope="micro_batch",
        per_device_train_batch_size=8,
        gradient_accumulation_steps=4,
    )
    records, _ = one_step(args)
    by_threshold = {}
    for record in records:
        by_threshold.setdefault(record["threshold_c"], []).extend(record["kl"] or [])
    assert len(by_threshold) == 4
    for c, kl in by_threshold.items():
        assert c == pytest.approx(torch.quantile(torch.tensor(kl), 0.75).item(), rel=1e-5)


def test_fixed_threshold(tmp_path):
    records, _ = one_step(config(tmp_path, threshold_fixed=0.25))
    assert {r["threshold_c"] for r in records} == {0.25}


def test_student_pass_that_trl_makes_is_shared(tmp_path):
    separate, _ = one_step(config(tmp_path))
    calls = []
    args = config(tmp_path, num_iterations=2)
    args.max_steps, args.rollout_steps = 1, 1
    run = trainer(args)
    records = keep_records(run)
    run.model.register_forward_pre_hook(
        lambda module, a, kwargs: calls.append("fused_lm_head" in kwargs), with_kwargs=True
    )
    run.train()
    teacher_only = [not fused for fused in calls].count(True)
    generated = 16
    assert run.state.log_history[0]["time/student_pass"] == 0
    # The teacher's two, two that ask about padding, and three about prompts read once.
    assert teacher_only <= generated + 7
    for a, b in zip(separate, records, strict=True):
        assert a["completion_ids"] == b["completion_ids"]
        if a["kl"] is not None:
            torch.testing.assert_close(
                torch.tensor(a["kl"]), torch.tensor(b["kl"]), atol=5e-5, rtol=1e-3
            )


def test_lora_teacher_uses_the_adapted_weights(tmp_path):
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    args = config(tmp_path, max_steps=1, rollout_steps=1)
    run = trainer(args, peft_config=lora)
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter))
    records = keep_records(run)
    state = {k: v.clone() for k, v in run.model.state_dict().items()}
    run.train()
    run.model.load_state_dict(state)
    merged = run.model.merge_and_unload().eval()
    scored = [r for r in records if r["kl"]][:4]
    assert scored
    for record in scored:
        (reference,) = [
            r
            for r in records
            if r["group"] == record["group"] and r["index"] == record["reference"]
        ]
        student, teacher = teacher_ids(run, record, reference)
        kl = dense_kl(merged, ScoreRequest(student, [teacher], record["completion_ids"]))
        torch.testing.assert_close(torch.tensor(record["kl"]).double(), kl, atol=1e-4, rtol=1e-2)


def with_tool_tokens(prompts, run):
    """Rollouts whose tokens 2 to 4 come from a tool; the rest is drawn by position."""
    prompt_ids = [
        run.processing_class.apply_chat_template(p, add_generation_prompt=True, return_dict=True)[
            "input_ids"
        ]
        for p in prompts
    ]
    generator = torch.Generator().manual_seed(0)
    ids = [
        torch.randint(8, 40, (6 + i % 5,), generator=generator).tolist()
        for i in range(len(prompts))
    ]
    mask = [[0 if 2 <= t < 5 else 1 for t in range(len(row))] for row in ids]
    logps = [[0.0] * len(row) for row in ids]
    return {"prompt_ids": prompt_ids, "completion_ids": ids, "logprobs": logps, "env_mask": mask}


def test_tool_tokens_carry_no_credit(tmp_path):
    records, run = one_step(config(tmp_path), rollout_func=with_tool_tokens)
    scored = [r for r in records if r["kl"]]
    assert scored
    active = [kl for r in scored for kl, own in zip(r["kl"], r["written"], strict=True) if own]
    expected = torch.quantile(torch.tensor(active), 0.75).item()
    assert scored[0]["threshold_c"] == pytest.approx(expected, rel=1e-5)
    assert run.state.log_history[0]["credit/active_tokens"] == len(active)
    for record in scored:
        assert record["written"][:6] == [True, True, False, False, False, True]
        assert record["weight"][2:5] == [1.0, 1.0, 1.0]


def format_bonus(completions, **_):
    return [0.3] * len(completions)


def test_solved_is_what_the_named_verifier_says(tmp_path):
    args = config(tmp_path, verifier="vowels", reward_weights=[1.0, 0.5])
    records, _ = one_step(args, reward=[vowels, format_bonus])
    assert {r["reward"] for r in records} == {0.0, 1.0}
    assert {r["route"] for r in records} >= {"partial", "none"}


def partly_right(completions, **_):
    """Tests passed by each rollout of a group: differently many in the first two, never all."""
    return [i % 20 / 20 if i < 16 else 0.5 for i in range(len(completions))]


@pytest.mark.parametrize("replaces", ["zero", "always"])
def test_unsolved_groups_whose_rewards_differ_keep_their_advantage(tmp_path, replaces):
    records, _ = one_step(config(tmp_path, diversity_replaces=replaces), reward=partly_right)
    assert {r["route"] for r in records} == {"none"}
    c = torch.quantile(torch.cat([torch.tensor(r["kl"]) for r in records if r["kl"]]), 0.75)
    for group in range(4):
        rows = [r for r in records if r["group"] == group]
        found = torch.tensor([r["advantage"] for r in rows])
        by_reward = group_advantage(torch.tensor([[r["reward"] for r in rows]]), eps=1e-4)[0]
        if group < 2 and replaces == "zero":
            torch.testing.assert_close(found, by_reward)
            assert found.min() < -1 and found.max() > 1
        else:
            assert 0.01 < found.abs().max() < 0.3
        for r in rows:  # the reference has no teacher, and weight 1
            kl = torch.tensor(r["kl"] or [])
            weight = torch.ones(len(r["weight"])) if r["kl"] is None else kl / (kl + c)
            torch.testing.assert_close(torch.tensor(r["weight"]), weight, rtol=1e-4, atol=1e-6)


def test_a_format_reward_keeps_its_signal_in_an_unsolved_group(tmp_path):
    def well_formed(completions, **_):
        return [float(i < 8 and i % 2) for i in range(len(completions))]

    args = config(tmp_path, verifier="never", reward_weights=[1.0, 0.5])
    records, _ = one_step(args, reward=[never, well_formed])
    assert {(r["route"], r["reward"]) for r in records} == {("none", 0.0)}
    found = torch.tensor([r["advantage"] for r in records]).view(4, 8)
    by_format = group_advantage(0.5 * (torch.arange(8) % 2).float()[None], eps=1e-4)[0]
    torch.testing.assert_close(found[0], by_format)
    assert (found[1:].abs().amax(1) < 0.3).all() and (found[1:].abs().amax(1) > 0.01).all()


def never(completions, **_):
    return [0.0] * len(completions)


def test_unscored_rollouts_are_neither_verified_nor_failed(tmp_path):
    def sometimes(completions, **_):
        rewards = vowels(completions)
        return [None if i % 8 == 3 else r for i, r in enumerate(rewards)]

    records, _ = one_step(config(tmp_path), reward=sometimes)
    unscored = [r for r in records if r["index"] == 3]
    assert all(r["advantage"] == 0 and r["kl"] is None for r in unscored)
    assert all(r["reference"] != 3 for r in records)


def cut_off(prompts, run):
    """Rollouts of which the first three of each group do not end."""
    rendered = run.processing_class.apply_chat_template(
        prompts, add_generation_prompt=True, return_dict=True
    )
    end = run.processing_class.eos_token_id
    generator = torch.Generator().manual_seed(run.state.global_step)
    ids = torch.randint(8, 40, (len(prompts), 6), generator=generator).tolist()
    ids = [row if i % 8 < 3 else [*row, end] for i, row in enumerate(ids)]
    logps = [[0.0] * len(row) for row in ids]
    return {"prompt_ids": rendered["input_ids"], "completion_ids": ids, "logprobs": logps}


@pytest.mark.parametrize("masks", [True, False])
def test_masked_rollouts_are_no_references(tmp_path, masks):
    """Nor are they remembered; they count for their group, if as failed."""
    solved = [{0, 1}, {0, 3, 4}, set(), {3, 4, 5, 6, 7}]

    def reward(completions, **_):
        return [float(i % 8 in solved[i // 8]) for i in range(len(completions))]

    args = config(tmp_path, mask_truncated_completions=masks, rollout_steps=1, memory_size=8)
    run = trainer(args, reward=reward, rollout_func=cut_off)
    records = keep_records(run)
    run.train()
    routes = [{r["route"] for r in records if r["group"] == g} for g in range(4)]
    assert routes == [{"plain" if masks else "partial"}, {"partial"}, {"none"}, {"partial"}]
    shown = [{r["reference"] for r in records if r["group"] == g} - {-1} for g in range(4)]
    allowed = [verified or set(range(8)) for verified in solved]
    if masks:
        allowed = [group - {0, 1, 2} for group in allowed]  # of those that ended
        assert all(r["kl"] is None for r in records if r["index"] < 3)
        assert shown[1] == {3, 4} and len(shown[2]) >= 1
        assert not allowed[0]  # solved, but by none that could be shown
    assert all(found <= group for found, group in zip(shown, allowed, strict=True))
    kept = sorted(len(rollouts) for rollouts in run._memory.kept.values())
    assert kept == 3 * [2] + (0 if masks else 3) * [3] + 3 * [5]


def test_reference_longer_than_the_context_is_cut_and_counted(tmp_path):
    records, run = one_step(config(tmp_path, teacher_max_length=30))
    assert run.state.log_history[0]["credit/reference_truncated"] > 0
    assert any(r["kl"] for r in records)


@pytest.mark.parametrize(
    "options",
    [
        {"bf16": True},
        {"gradient_checkpointing": True},
        {"temperature": 0.7},
        {"top_p": 0.5},  # D is of the full distributions
        {"top_k": 4, "min_p": 0.1, "repetition_penalty": 1.2},
    ],
)
def test_settings_that_must_keep_the_same_credit(tmp_path, options):
    records, run = one_step(config(tmp_path, **options))
    for record in [r for r in records if r["kl"]][:6]:
        (reference,) = [
            r
            for r in records
            if r["group"] == record["group"] and r["index"] == record["reference"]
        ]
        student, teacher = teacher_ids(run, record, reference)
        request = ScoreRequest(student, [teacher], record["completion_ids"])
        kl = dense_kl(run.model.eval(), request, run.args.temperature)
        tolerance = 0.15 if "bf16" in options else 1e-3
        torch.testing.assert_close(
            torch.tensor(record["kl"]).double(), kl, atol=tolerance, rtol=tolerance
        )


def test_dropout_does_not_reach_the_scores(tmp_path):
    model = tiny_model(attention_dropout=0.3)
    records, _ = one_step(config(tmp_path), model=model)
    identical = [r for r in records if r["kl"] and r["reference_text"] == ""]
    assert all(torch.tensor(r["kl"]).isfinite().all() for r in records if r["kl"])
    assert all(abs(k) < 10 for r in identical for k in r["kl"])


@pytest.mark.parametrize("weight", ["credit*entropy", "credit+entropy", "entropy"])
def test_weights_of_other_signals_are_recomputed_from_the_records(tmp_path, weight):
    records, _ = one_step(config(tmp_path, weight=weight))
    scored = [r for r in records if r["kl"]]
    entropy = torch.cat([torch.tensor(r["entropy"]) for r in scored])
    kl = torch.cat([torch.tensor(r["kl"]) for r in scored])
    c = torch.quantile(kl, 0.75)
    relative = (entropy / torch.quantile(entropy, 0.8)).clamp(max=1)
    expected = {
        "credit*entropy": kl / (kl + c) * relative,
        "credit+entropy": 0.5 * kl / (kl + c) + 0.5 * relative,
        "entropy": (entropy >= torch.quantile(entropy, 0.8)).float(),
    }[weight]
    found = torch.cat([torch.tensor(r["weight"]) for r in scored])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_signal_of_the_docs(tmp_path):
    """One file, named in the config, is all that a new signal takes."""
    path = "examples/signal/surprise.py:surprise"
    records, _ = one_step(config(tmp_path, weight=path))
    scored = [r for r in records if r["kl"]]
    kl, logp, found = (
        torch.cat([torch.tensor(r[name]) for r in scored]) for name in ("kl", "logp", "weight")
    )
    expected = kl / (kl + torch.quantile(kl, 0.75)) * (-logp).clamp(max=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    # What no weight asks for is not computed for its sake.
    assert all(r["entropy"] is None and r["disagreement"] is None for r in scored)


def test_several_references_are_averaged_or_the_largest(tmp_path):
    runs = {
        reduction: one_step(
            config(tmp_path, references=3, reference_reduction=reduction, reference_set="partial")
        )[0]
        for reduction in ("mean", "max")
    }
    pairs = zip(runs["mean"], runs["max"], strict=True)
    larger = [
        torch.tensor(b["kl"]) - torch.tensor(a["kl"]) for a, b in pairs if a["kl"] is not None
    ]
    gaps = torch.cat(larger)
    assert (gaps >= -1e-6).all() and gaps.max() > 0.01


def test_rollouts_with_one_reference_stay_plain_under_disagreement(tmp_path):
    args = config(tmp_path, "sc-grpo-disagreement")
    records, _ = one_step(args)
    for group in {r["group"] for r in records}:
        rows = [r for r in records if r["group"] == group]
        verified = sum(r["reward"] for r in rows)
        for r in rows:
            others = verified - r["reward"]
            assert (r["kl"] is not None) == (r["route"] == "partial" and others >= 2)
