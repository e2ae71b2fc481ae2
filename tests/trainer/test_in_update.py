"""The trainer without a student pass of its own: same updates, fewer forwards, exact resumes."""

import pytest
import torch

from scgrpo.credit.in_update import LATER
from scgrpo.teachers.policy import Policy
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset, tiny_tokenizer


def some(completions, **_):
    """Three groups of four solved partly, and one not at all."""
    return [float(i % 8 < 4 and i % 32 < 24) for i in range(len(completions))]


def run_of(folder, preset="sc-grpo", **fields):
    args = config(
        folder,
        preset,
        **{
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 4,
            "rollout_steps": 0,
            "share_prompts": False,
            "optim": "sgd",
            "learning_rate": 0.3,
            "max_grad_norm": 0.0,
            **fields,
        },
    )
    return trainer(args, reward=some, train_dataset=tiny_dataset(8))


def changed(run):
    """What training added to the parameters."""
    before = [p.detach().clone() for p in run.model.parameters()]
    run.train()
    after = zip(run.model.parameters(), before, strict=True)
    return torch.cat([(p.detach() - b).flatten() for p, b in after])


def passes(monkeypatch):
    """Whether each of the prompts of scoring passes is a teacher's."""
    seen, states = [], Policy.hidden_states

    def spied(self, prompts, completions):
        seen.extend("<sys>" in tiny_tokenizer().decode([*p]) for p in prompts)
        return states(self, prompts, completions)

    monkeypatch.setattr(Policy, "hidden_states", spied)
    return seen


@pytest.mark.parametrize(
    ("preset", "fields", "students"),
    [
        ("sc-grpo-signed-ungated", {}, 0),
        pytest.param("rlsd", {"loss_type": "dapo"}, 0, marks=pytest.mark.slow),
        # An unsolved group but for its reference.
        pytest.param("sc-grpo", {"threshold_fixed": 0.3}, 7, marks=pytest.mark.slow),
    ],
)
def test_updates_are_those_with_a_student_pass(tmp_path, monkeypatch, preset, fields, students):
    seen = passes(monkeypatch)
    found = changed(run_of(tmp_path / "a", preset, max_steps=2, **fields))
    assert seen.count(False) == 2 * students and seen.count(True) == 2 * (24 + students)
    monkeypatch.setattr("scgrpo.trainer.trainer.SCGRPOTrainer._updates_once", False)
    seen.clear()
    expected = changed(run_of(tmp_path / "b", preset, max_steps=2, **fields))
    assert seen.count(False) == seen.count(True) == 2 * (24 + students)
    assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.slow
def test_c_of_the_step_before_survives_a_resume(tmp_path):
    def run():
        return run_of(
            tmp_path,
            threshold_scope="previous",
            max_steps=4,
            save_strategy="steps",
            save_steps=2,
            optim="adamw_torch",
        )

    whole = run()
    later, weigh = [], whole._credit.weigh
    weighed = lambda parts, *rest: later.append(LATER in parts[0]) or weigh(parts, *rest)  # noqa: E731
    object.__setattr__(whole._credit, "weigh", weighed)
    whole.train()
    assert later == [False, True, True, True]
    resumed = run()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert resumed._credit.state_dict() == whole._credit.state_dict()
    pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    rows = [row for row in whole.state.log_history if "credit/threshold_c" in row]
    assert len(rows) == 4 and rows[0]["credit/threshold_c"] == rows[1]["credit/threshold_c"]
    assert rows[2]["credit/threshold_c"] == pytest.approx(rows[1]["credit/kl_p75"], rel=1e-5)
    assert {"credit/weight_mean", "credit/teacher_auc", "credit/none_share"} <= {*rows[3]}


@pytest.mark.parametrize(
    "fields",
    [
        {"steps_per_generation": 8},  # two optimizer steps: TRL's own pass is taken
        pytest.param({"num_iterations": 2}, marks=pytest.mark.slow),
        {"importance_sampling_level": "sequence"},
        {"rollout_steps": 1},  # whose records show every token
    ],
)
def test_where_the_update_cannot_be_asked_a_pass_is_made(tmp_path, fields):
    run = run_of(tmp_path, "sc-grpo-signed-ungated", max_steps=1, **fields)
    seen, weigh = [], run._credit.weigh
    weighed = lambda parts, *rest: seen.append(LATER in parts[0]) or weigh(parts, *rest)  # noqa: E731
    object.__setattr__(run._credit, "weigh", weighed)
    run.train()
    assert seen == [False]
