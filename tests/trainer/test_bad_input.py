"""What a new user gets wrong: one sentence that names the value, the place and the remedy."""

import math
import sys

import numpy
import pytest
import torch
from datasets import Dataset

from scgrpo import SCGRPOConfig
from scgrpo.trainer.checkpoint import CheckpointError
from scgrpo.trainer.rewards import RewardError, check_finite, check_rewards
from tests.trainer.runs import config, trainer, vowels
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer


def returning(value):
    def judge(completions, **_):
        return value(len(completions)) if callable(value) else value

    return judge


def raising(completions, **_):
    return 1 / 0


def leaving(completions, **_):
    sys.exit(0)


class Stubborn:
    def __float__(self):
        raise RuntimeError("no float")

    def __repr__(self):
        raise RuntimeError("no repr")


class Endless(list):
    def __len__(self):
        raise RuntimeError("no length")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (raising, "'raising' raised ZeroDivisionError: division by zero; make it return"),
        (leaving, "'leaving' raised SystemExit: 0; make it return a number for every completion"),
        (
            returning(lambda n: torch.tensor(1.0)),
            r"returned Tensor tensor\(1\.\); it must return a",
        ),
        (
            returning(lambda n: [10**400] * n),
            r"returned 1(0){119} \.\.\. for completion 0, which is no",
        ),
        (
            returning(lambda n: [0.0] + [Stubborn()] * (n - 1)),
            "<Stubborn, whose repr raises Runtime",
        ),
        (
            returning(lambda n: Stubborn()),
            "returned Stubborn <Stubborn, whose repr raises RuntimeE",
        ),
        (
            returning(lambda n: Endless([1.0] * n)),
            r"returned Endless \[1\.0, .* it must return a list",
        ),
        (
            returning(lambda n: set(range(n))),
            r"returned set \{0, 1, .*; it must return a list of",
        ),
        (returning(lambda n: dict.fromkeys(range(n), 1.0)), r"returned dict \{0: 1\.0, "),
        (returning(lambda n: {}.keys()), r"returned dict_keys dict_keys\(\[\]\); it must return"),
        (returning(lambda n: [b"1"] * n), "returned b'1' for completion 0, which is no number"),
        (
            returning(lambda n: [[1.0, 2.0]] * n),
            r"returned \[1\.0, 2\.0\] for completion 0, which is",
        ),
        (
            returning(lambda n: torch.ones(n, 2)),
            r"returned tensor\(\[1\., 1\.\]\) for completion 0",
        ),
        (returning(None), "returned NoneType None; it must return a list of numbers"),
        (returning(lambda n: ["yes"] * n), "returned 'yes' for completion 0, which is no number"),
        (returning(lambda n: [10**400] * n), "for completion 0, which is no number"),
        (returning("correct"), "returned str 'correct'; it must return a list of numbers"),
        (returning(lambda n: 1.0), "returned float 1.0; it must return a list of numbers"),
        (returning(lambda n: set(range(n))), "returned set {0, 1, 2.*; it must return a list"),
        (returning(lambda n: torch.tensor(1.0)), r"returned Tensor tensor\(1.\); it must return"),
        (returning(lambda n: [0.0, float("inf")] * (n // 2)), "gave inf for completion 1; return"),
        (returning(lambda n: [1e39] * n), "gave inf for completion 0; return a finite"),
    ],
)
def test_rewards(tmp_path, reward, message):
    with pytest.raises(RewardError, match=message):
        trainer(config(tmp_path), reward=reward).train()


def test_too_few_rewards_are_refused_by_trl_itself(tmp_path):
    """Its sentence names the function and both counts."""
    few = returning(lambda n: [1.0] * (n - 1))
    with pytest.raises(ValueError, match="'judge' returned 31 rewards, but 32 were expected"):
        trainer(config(tmp_path), reward=few).train()


@pytest.mark.parametrize(
    "value",
    [
        lambda n: torch.ones(n),
        lambda n: numpy.ones(n),
        lambda n: tuple([True] * n),
        lambda n: [torch.tensor(1.0)] * n,
        lambda n: [None, *[1.0] * (n - 1)],
        lambda n: (1.0 for _ in range(n)),
    ],
)
def test_good_rewards(value):
    assert set(check_rewards(value(4), "judge")) <= {1.0, None}


def test_leaving_an_async_reward_is_a_failure_too(tmp_path):
    async def judge(completions, **_):
        sys.exit(0)

    with pytest.raises(RewardError, match="'judge' raised SystemExit: 0"):
        trainer(config(tmp_path), reward=judge).train()


def test_rewards_of_none_alone_are_warned_of_as_by_trl(tmp_path, caplog):
    trainer(config(tmp_path, max_steps=1), reward=returning(lambda n: [None] * n)).train()
    assert "All reward functions returned None for the following kwargs" in caplog.text


@pytest.mark.parametrize("function", [math, 3, {"a": 1}])
def test_what_is_no_reward_function(tmp_path, function):
    with pytest.raises(
        ValueError, match=rf"^reward_funcs has .*, a {type(function).__name__}; give"
    ):
        trainer(config(tmp_path), reward=[vowels, function])


def test_async_rewards_are_checked_too(tmp_path):
    async def judge(completions, **_):
        return ["1.7"] * len(completions)

    async def broken(completions, **_):
        raise KeyError("answer")

    with pytest.raises(RewardError, match=r"'judge' returned '1\.7' for completion 0"):
        trainer(config(tmp_path), reward=judge).train()
    with pytest.raises(RewardError, match="'broken' raised KeyError: 'answer'; make it return"):
        trainer(config(tmp_path), reward=broken).train()


def test_environments_and_models_are_checked_too():
    rewards = torch.tensor([[0.0, float("nan")], [-7.5, 1.0], [2.0, float("-inf")]])
    with pytest.raises(RewardError, match=r"'env' gave -inf for completion 2; return a finite"):
        check_finite(rewards, ["f", "env"])
    check_finite(rewards[:2], ["f", "env"])


def test_empty_dataset(tmp_path):
    with pytest.raises(ValueError, match=r"train_dataset is empty \(0 rows\)"):
        trainer(config(tmp_path), train_dataset=tiny_dataset().select([]))


def test_fewer_problems_than_a_batch_takes(tmp_path):
    with pytest.raises(ValueError, match=r"has 3 rows, but one generation batch takes 4 "):
        trainer(config(tmp_path), train_dataset=tiny_dataset().select(range(3)))


def test_missing_prompt_column(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'prompt' \(it has: question, answer\)"):
        trainer(
            config(tmp_path), train_dataset=Dataset.from_dict({"question": ["a"], "answer": ["b"]})
        )


def test_tokenizer_without_chat_template(tmp_path):
    with pytest.raises(ValueError, match=r"has no chat template; set tokenizer\.chat_template"):
        trainer(config(tmp_path), processing_class=tiny_tokenizer(template=None))


def test_prompt_longer_than_the_context(tmp_path):
    rows = Dataset.from_list(
        [*tiny_dataset(3), {"prompt": [{"role": "user", "content": "a" * 300}], "answer": "a"}]
    )
    with pytest.raises(ValueError, match=r"prompt of row 3 has 303 tokens.*context is 256"):
        trainer(config(tmp_path), train_dataset=rows)


def test_plain_text_prompts_need_no_chat_template(tmp_path):
    rows = Dataset.from_dict({"prompt": ["Qa", "Qb"] * 4})
    run = trainer(
        config(tmp_path, max_steps=1),
        train_dataset=rows,
        processing_class=tiny_tokenizer(template=None),
    )
    run.train()
    assert run.state.global_step == 1


@pytest.mark.parametrize("group", [1, 0, None])
def test_group_of_one(tmp_path, group):
    with pytest.raises(ValueError, match="a group needs at least 2 rollouts"):
        config(tmp_path, num_generations=group)


def test_batch_that_cannot_be_cut_into_groups(tmp_path):
    with pytest.raises(ValueError, match=r"30 rollouts .* groups of 8; .* for instance 32"):
        config(tmp_path, per_device_train_batch_size=30)
    with pytest.raises(ValueError, match=r"\(generation_batch_size\) cannot be cut"):
        config(tmp_path, generation_batch_size=30)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use": "both"}, "use is 'both'; choose one of none, weight, loss"),
        ({"use": "loss"}, "would imitate it; set reference_set='partial'"),
        ({"advantage": "none"}, "has nothing to learn from; set use='loss'"),
        ({"teacher": "model"}, "teacher='model' needs teacher_model"),
        ({"teacher_model": "x"}, "teacher_model='x' is not asked by teacher='self'"),
        (
            {"teacher": "model", "teacher_model": "x", "teacher_weights": "initial"},
            "teacher_weights='initial' is for a teacher that is the policy itself",
        ),
        (
            {"teacher": "demonstration", "memory_size": 2},
            "memory_size=2 and references=1 are about own rollouts",
        ),
        (
            {"use": "loss", "reference_set": "partial", "references": 2},
            "references=2 with use='loss' would distil towards a mean of teachers",
        ),
        (
            {"use": "loss", "reference_set": "partial", "loss_coefficient_start": 0.1},
            "loss_coefficient_start=0.1 needs loss_warmup_steps",
        ),
        (
            {"advantage": "whitened", "reward_kl": 0.1, "beta": 0.3},
            "beta=0.3 puts a KL to the initial policy into the loss, where reward_kl=0.1 has it",
        ),
        ({"reward_kl": 0.1}, "reward_kl=0.1 shapes returns per token, which advantage='group'"),
        (
            {"use": "loss", "reference_set": "partial", "loss_type": "cispo"},
            "loss_type='cispo' does not aggregate per token",
        ),
        ({"weight": "fame"}, "weight is 'fame'; choose one of credit, disagreement"),
        ({"weight": "math:sqrt"}, "asks for 'x', which is no signal; its parameters may be kl"),
        ({"weight": "nowhere:f"}, "weight 'nowhere:f' cannot be imported"),
        ({"weight": "disagreement"}, "compares several references, but references is 1"),
        ({"divergence": "l2"}, "divergence is 'l2'; choose one of forward"),
        ({"divergence": "jsd", "divergence_beta": 1.0}, "jsd needs a beta between 0 and 1"),
        ({"resample_rounds": 0}, "resample_rounds is 0; it must be at least 1"),
        ({"teacher": "none"}, "teacher='none' with use='weight' does nothing"),
        ({"reference_set": "most"}, "reference_set is 'most'; choose one of partial"),
        ({"threshold_percentile": 175}, "threshold_percentile is 175; it must lie between 0 and 1"),
        ({"threshold_min": 0}, "threshold_min is 0; it must be above 0"),
        ({"solve_threshold": float("nan")}, "solve_threshold is nan; it must be a finite number"),
        ({"diversity_alpha": -1}, "diversity_alpha is -1"),
        (
            {"divergence_clip_of": "rollout"},
            "divergence_clip_of is 'rollout'; choose one of entry, t",
        ),
        ({"diversity_replaces": "never"}, "diversity_replaces is 'never'; choose one of zero, al"),
        (
            {"advantage": "whitened", "teacher": "none", "use": "none", "loss_type": "vespo"},
            "loss_type='vespo' chooses its parameters by the sign of a sequence's advantage",
        ),
        (
            {"advantage": "whitened", "loss_type": "vespo"},
            "by the sign of a sequence's advantage, which advantage='whitened' gives each token",
        ),
        (
            {
                "advantage": "whitened",
                "teacher": "none",
                "use": "none",
                "off_policy_mask_threshold": 0.5,
            },
            "off_policy_mask_threshold=0.5 drops sequences by the sign of .* set advantage='group'",
        ),
        (
            {"advantage": "whitened", "off_policy_mask_threshold": 0.5},
            "off_policy_mask_threshold=0.5 drops sequences by the sign",
        ),
        ({"score_tokens": 0}, "score_tokens is 0"),
        (
            {"offload_teacher_states": True},
            "offload_teacher_states=True has no states .* threshold_scope='batch' and weight='cr",
        ),
        (
            {"offload_teacher_states": True, "weight": "signed", "reference_set": "partial"},
            "weight='signed' keep none; set threshold_scope='previous' with a weight of D",
        ),
    ],
)
def test_choices_that_cannot_work(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        config(tmp_path, **fields)


def test_guide_without_a_place_for_the_reference(tmp_path):
    with pytest.raises(ValueError, match=r"put \{reference\}"):
        trainer(config(tmp_path, guide="solve it"))


def test_teacher_longer_than_the_context(tmp_path):
    with pytest.raises(ValueError, match=r"teacher_max_length is 999, but .* context is 256"):
        trainer(config(tmp_path, teacher_max_length=999))


def test_verifier_that_no_reward_function_is(tmp_path):
    def other(completions, **_):
        return [0.0] * len(completions)

    with pytest.raises(ValueError, match=r"verifier is 'judge', .* are vowels, other; name one"):
        trainer(config(tmp_path, verifier="judge"), reward=[vowels, other])


def test_full_disk_keeps_earlier_checkpoints(tmp_path, monkeypatch):
    run = trainer(config(tmp_path, max_steps=4, save_strategy="steps", save_steps=2))
    save = run.save_model

    def full_at_four(folder, **options):
        if "checkpoint-4" in folder:
            raise OSError(28, "No space left on device")
        save(folder, **options)

    monkeypatch.setattr(run, "save_model", full_at_four)
    with pytest.raises(CheckpointError, match=r"checkpoint 4 .*checkpoint-2 is whole.*free some"):
        run.train()
    assert (tmp_path / "checkpoint-2" / "trainer_state.json").exists()
    assert not (tmp_path / "checkpoint-4").exists()


def test_defaults_are_the_papers():
    fields = SCGRPOConfig.__dataclass_fields__
    assert {
        name: fields[name].default
        for name in ("reference_set", "threshold_percentile", "threshold_min", "diversity_alpha")
    } == {
        "reference_set": "partial+none",
        "threshold_percentile": 75.0,
        "threshold_min": 1e-4,
        "diversity_alpha": 0.1,
    }
    assert tiny_model().config.model_type == "qwen3"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_ends_the_run_before_the_weights_are_lost(tmp_path, value):
    model = tiny_model()
    weight = model.get_output_embeddings().weight
    weight.register_hook(lambda grad: torch.full_like(grad, value))
    before = weight.detach().clone()
    run = trainer(config(tmp_path), model=model)
    with pytest.raises(ValueError, match=r"gradient of step 1 has the norm (nan|inf).*learning_ra"):
        run.train()
    assert torch.equal(weight, before)
