"""What a script for TRL's trainer may do: arguments in order, configs and rewards of its own."""

import copy
import functools
import inspect
import math
import pickle
from dataclasses import dataclass, field

import pytest
from trl import GRPOConfig, GRPOTrainer

from scgrpo import SCGRPOConfig, SCGRPOTrainer
from tests.device import ON_CPU
from tests.trainer.runs import config, trainer, vowels
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

QUIET = {"use_cpu": ON_CPU, "bf16": False, "report_to": "none", "save_strategy": "no"}


@dataclass
class MyConfig(GRPOConfig):
    """A user's config, which counts how often it was made."""

    curriculum: list[str] = field(default_factory=lambda: ["easy", "hard"])
    curriculum_steps: int = 100
    made: int = 0

    def __post_init__(self):
        super().__post_init__()
        self.made += 1
        self.curriculum_steps *= 2

    def stage(self):
        return self.curriculum[0]


def test_arguments_are_those_of_trl_in_its_order():
    ours, theirs = (inspect.signature(kind.__init__) for kind in (SCGRPOTrainer, GRPOTrainer))
    assert list(ours.parameters) == list(theirs.parameters)
    for name, parameter in theirs.parameters.items():
        assert ours.parameters[name].kind == parameter.kind
        assert ours.parameters[name].default == parameter.default


def test_arguments_by_position(tmp_path):
    args = GRPOConfig(str(tmp_path), **QUIET)
    held_out = tiny_dataset(3)
    run = SCGRPOTrainer(
        tiny_model(), vowels, args, tiny_dataset(), held_out, tiny_tokenizer(), None, []
    )
    assert run.eval_dataset is held_out
    assert run._tokenizer.chat_template == tiny_tokenizer().chat_template


def test_plain_grpo_config_is_taken_as_sc_grpo(tmp_path):
    args = GRPOConfig(str(tmp_path), temperature=0.7, **QUIET)
    run = SCGRPOTrainer(
        tiny_model(), vowels, args, tiny_dataset(), processing_class=tiny_tokenizer()
    )
    assert type(run.args) is SCGRPOConfig
    assert (run.args.temperature, run.args.use, run.args.teacher) == (0.7, "weight", "self")


@pytest.mark.parametrize("loss_type", ["dapo", "bnpo", "grpo"])
def test_loss_of_a_plain_config_is_kept(tmp_path, loss_type):
    """`dapo` too, which cannot be told from TRL's default."""
    args = GRPOConfig(str(tmp_path), loss_type=loss_type, **QUIET)
    assert SCGRPOConfig.from_grpo(args).loss_type == loss_type
    assert SCGRPOConfig.from_grpo(GRPOConfig(str(tmp_path), **QUIET)).loss_type == "dapo"
    assert SCGRPOConfig(str(tmp_path), **QUIET).loss_type == "grpo"


@pytest.mark.parametrize(
    "batch", [{"steps_per_generation": 3}, {"generation_batch_size": 24}, {}], ids=str
)
def test_every_field_of_a_plain_config_is_kept(tmp_path, batch):
    args = GRPOConfig(str(tmp_path), gradient_accumulation_steps=2, **QUIET, **batch)
    taken = SCGRPOConfig.from_grpo(args)
    assert {name: getattr(taken, name) for name in vars(args)} == vars(args)


def test_config_of_the_users_own_class(tmp_path):
    args = MyConfig(str(tmp_path), curriculum=["hard"], max_completion_length=4, **QUIET)
    assert args.curriculum_steps == 200
    run = SCGRPOTrainer(
        tiny_model(), vowels, args, tiny_dataset(), processing_class=tiny_tokenizer()
    )
    for taken in (run.args, pickle.loads(pickle.dumps(run.args)), copy.deepcopy(run.args)):
        assert isinstance(taken, MyConfig)
        assert isinstance(taken, SCGRPOConfig)
        assert (taken.curriculum, taken.curriculum_steps, taken.made) == (["hard"], 200, 1)
        assert (taken.stage(), taken.solve_threshold) == ("hard", 1.0)
    assert run.args.to_dict()["curriculum"] == ["hard"]
    assert run.args.method == SCGRPOConfig(str(tmp_path), **QUIET).method


def test_a_users_own_field_with_a_name_of_ours_is_ours_and_checked(tmp_path):
    @dataclass
    class Named(GRPOConfig):
        score_tokens: int = 0

    with pytest.raises(ValueError, match="score_tokens is 0; it must be at least 1"):
        SCGRPOConfig.from_grpo(Named(str(tmp_path), **QUIET))


def test_checkpoint_of_a_users_config_can_be_written(tmp_path):
    args = MyConfig(
        str(tmp_path), **QUIET | {"save_strategy": "steps"}, save_steps=1, max_steps=1,
        max_completion_length=4, disable_tqdm=True,
    )  # fmt: skip
    run = trainer(args, model=tiny_model(max_position_embeddings=1024))
    run.train()
    assert (tmp_path / "checkpoint-1" / "training_args.bin").is_file()


class Judge:
    """A callable with attributes that are named as ours once were."""

    def __init__(self):
        self.function = "a name"
        self.is_verifier = False
        self.seen = 0

    def __call__(self, prompts, completions, completion_ids, trainer_state, **columns):
        self.seen += 1
        assert len(completion_ids) == len(prompts) == len(columns["answer"])
        assert trainer_state.global_step == 0
        return (reward for reward in vowels(completions))  # TRL takes any iterable


class LaterJudge(Judge):
    async def __call__(self, completions, **columns):
        self.seen += 1
        return vowels(completions)


def test_reward_functions_stay_what_they_are(tmp_path):
    half = functools.partial(vowels, unused=1)
    given = [vowels, half, Judge(), LaterJudge()]
    run = trainer(config(tmp_path, max_steps=1), reward=given)
    assert run.reward_funcs is given
    assert run.reward_func_names == ["vowels", "vowels", "Judge", "LaterJudge"]
    run.train()
    assert all(f is g for f, g in zip(run.reward_funcs, [vowels, half, *given[2:]], strict=True))
    assert (given[2].seen, given[3].seen) == (1, 1)
    assert (given[2].function, given[2].is_verifier) == ("a name", False)
    logged = run.state.log_history[0]
    assert logged["rewards/Judge/mean"] == logged["rewards/vowels/mean"]
    assert logged["rewards/LaterJudge/mean"] == logged["rewards/vowels/mean"]


def test_single_function_is_kept_too(tmp_path):
    run = trainer(config(tmp_path), reward=vowels)
    assert run.reward_funcs[0] is vowels


def test_functions_are_whole_again_after_one_has_failed(tmp_path):
    def broken(completions, **_):
        raise RuntimeError("no")

    run = trainer(config(tmp_path), reward=[vowels, broken])
    with pytest.raises(ValueError, match="'broken' raised RuntimeError"):
        run.train()
    assert run.reward_funcs[0] is vowels


@pytest.mark.parametrize("preset", ["sc-grpo", "grpo+fkl"])
def test_evaluation_before_the_first_step(tmp_path, preset):
    """Nothing of a step is known yet; the loss is TRL's, a mean over the batches."""
    sizes = {"eval_strategy": "steps", "eval_steps": 5, "per_device_eval_batch_size": 8}
    args = config(tmp_path, preset, eval_on_start=True, max_steps=1, **sizes)
    run = trainer(args, eval_dataset=tiny_dataset(2))
    run.train()
    first, *_ = (row for row in run.state.log_history if "eval_loss" in row)
    assert first["step"] == 0 and math.isfinite(first["eval_loss"])
