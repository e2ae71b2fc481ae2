"""The trainer with signed credit: what it is without trust, and that trust survives a resume."""

import pytest
import torch

from scgrpo.config import Method
from scgrpo.trainer.trainer import SCGRPOTrainer
from tests.trainer.runs import config, keep_records, trainer
from tests.trainer.test_equals_trl import TRLS_CUT, assert_same_run, trl_run
from tests.trainer.tiny import tiny_dataset


@pytest.mark.parametrize("weight", ["signed", pytest.param("credit", marks=pytest.mark.slow)])
def test_without_trust_it_is_trl(tmp_path, weight):
    args = config(
        tmp_path,
        "sc-grpo-signed",
        weight=weight,
        trust="fixed",
        trust_value=0.0,
        num_iterations=2,
        **TRLS_CUT,
    )
    ours = trainer(args)
    ours.train()
    assert any(row.get("credit/route_partial", 0) > 0 for row in ours.state.log_history)
    assert_same_run(ours, trl_run(args))


def halves(completions, **_):
    return [float(i % 8 < 4) for i in range(len(completions))]


@pytest.mark.slow
def test_trust_survives_a_resume(tmp_path):
    def run(folder):
        args = config(
            folder,
            "sc-grpo-signed",
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            max_steps=4,
            save_strategy="steps",
            save_steps=2,
        )
        return trainer(args, reward=halves, train_dataset=tiny_dataset(6))

    whole = run(tmp_path)
    whole.train()
    resumed = run(tmp_path)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert resumed._trust.state_dict() == whole._trust.state_dict()
    assert whole._trust.record.pairs > 2 * 16  # of more steps than the last two
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    logged = [row for row in whole.state.log_history if "credit/teacher_auc" in row]
    assert len(logged) == 4
    for row in logged:
        low, auc, high = (row[f"credit/teacher_auc{part}"] for part in ("_low", "", "_high"))
        assert 0 <= low < auc < high <= 1
        assert row["credit/trust"] == pytest.approx(max(0, 2 * auc - 1))


def test_a_loss_with_micro_batches_left_out_is_judged_once_a_step(tmp_path):
    """Of the groups of the second half all are solved, so that they have neither gradient nor
    teacher, and their micro-batches are not read."""

    def first_half(completions, **_):
        return [float(i % 8 < 4 or i >= 16) for i in range(len(completions))]

    args = config(
        tmp_path, "grpo+fkl", per_device_train_batch_size=8, gradient_accumulation_steps=4
    )
    run = trainer(args, reward=first_half)
    seen = []
    see = run._trust.see
    run._trust.see = lambda rows, step: seen.append((step, len(rows))) or see(rows, step)
    run.train()
    assert seen == [(0, 16), (1, 16), (2, 16)] and not run._trust.pending
    # Two groups of 4 x 4 pairs in each step.
    assert run._trust.record.pairs == pytest.approx(32 * (1 + 0.9 + 0.81))


def test_records_hold_what_the_teacher_would_rather(tmp_path):
    run: SCGRPOTrainer = trainer(
        config(tmp_path, "sc-grpo-signed-ungated", max_steps=1, rollout_steps=1), reward=halves
    )
    records = keep_records(run)
    run.train()
    taught = [record for record in records if record["log_ratio"] is not None]
    assert len(taught) == len(records) == 32
    for record in taught:
        assert record["kl"] is None and record["threshold_c"] is None
        sign = 1 if record["reward"] == 1 else -1
        expected = (sign * torch.tensor(record["log_ratio"])).exp().clamp(0, 2)
        torch.testing.assert_close(torch.tensor(record["weight"]), expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trust": "much"}, "trust is 'much'; choose one of none, auc, fixed, scheduled"),
        ({"trust": "fixed"}, "trust_value=None: 'fixed' and 'scheduled' need a trust_value"),
        ({"trust": "auc", "trust_value": 0.5}, "trust='auc' with trust_value=0.5"),
        ({"trust": "scheduled", "trust_value": 0.5}, "'scheduled' needs the steps within which"),
        (
            {"trust": "fixed", "trust_value": 0.5, "trust_steps": 9},
            "trust='fixed' with trust_steps=9",
        ),
        ({"trust": "fixed", "trust_value": 1.5}, "trust_value is 1.5; it must lie between 0 and 1"),
        ({"trust_decay": 2}, "trust_decay is 2; it must lie between 0 and 1"),
        (
            {"trust": "auc", "use": "loss", "reference_set": "partial"},
            "trust='auc' and weight_normalisation='none' are about weights, which use='loss'",
        ),
        ({"weight": "signed", "signed_max": 0.5}, "signed_max is 0.5; it must be at least 1"),
        ({"weight": "signed", "signed_min": 2}, "signed_min is 2; it must lie between 0 and 1"),
        ({"signed_max": 4.0}, "signed_max=4.0 clip weights with a sign, which weight='credit'"),
        (
            {"reference_kind": "failed"},
            "but reference_set is 'partial[+]none'; set it to 'partial'",
        ),
        (
            {"reference_kind": "failed", "reference_set": "partial", "memory_size": 2},
            "but teacher is 'self' and memory_size is 2",
        ),
        (
            {"reference_kind": "failed", "reference_set": "partial", "use": "loss"},
            "with use='loss' would imitate what is no solution",
        ),
        (
            {"weight": "contrast", "reference_set": "partial", "references": 2},
            "teacher, reference_kind and references are .'self', 'verified', 2.; set them to",
        ),
        ({"weight": "contrast"}, "reference_set='partial[+]none' reaches groups without"),
    ],
)
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Method(**fields).check()
