"""Rollouts as training draws them, by the trainer itself, and no update."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import set_seed

from scgrpo.config import Method
from scgrpo.credit.aggregation import AGGREGATIONS, Aggregation
from scgrpo.credit.build import prompts_of
from scgrpo.credit.heads import PolicyHeads
from scgrpo.credit.use import Update
from scgrpo.embedded.loading import load_policy
from scgrpo.mistakes import ConfigError
from scgrpo.rollouts import Batch, Rollouts, written_tokens
from scgrpo.run_folder import RunFolder
from scgrpo.runs.adapter import adapter_of
from scgrpo.runs.arguments import trainer_arguments
from scgrpo.runs.check import check_run
from scgrpo.runs.data import load_source
from scgrpo.runs.models import find_model
from scgrpo.runs.run_config import RunConfig
from scgrpo.teachers.policy import Policy
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.trainer.trainer import SCGRPOTrainer
from scgrpo.world import World

KEPT_OF_METHOD = {"solve_threshold", "dynamic_sampling", "resample_rounds", "overlong_tokens"}
"""What a probe takes of a run's method: which rollouts are drawn, and what counts as solved."""


@dataclass(frozen=True)
class Sampled:
    """One batch: whole groups of this process."""

    rollouts: Rollouts
    reward_NG: Tensor
    """Verified rewards of these groups, NaN where unscored or cut off."""
    advantage: Tensor
    """`(B)`, TRL's."""
    coefficient: Tensor
    """`(B, T)`, the weight of each token in the aggregated loss; 0 where none was written."""
    written: Tensor
    """`(B, T)` whether the model wrote the token."""


@dataclass(frozen=True)
class Subject:
    """A policy that is probed, and what samples it."""

    trainer: SCGRPOTrainer
    update_rollouts: int
    """Rollouts of an optimizer step of the run."""

    @property
    def world(self) -> World:
        return self.trainer._world

    @property
    def policy(self) -> Policy:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        return Policy.of(model, lambda: model)

    @property
    def heads(self) -> PolicyHeads:
        model = self.policy.module
        return PolicyHeads(
            model,
            model,
            self.trainer.temperature,
            in_float32=self.trainer.args.cast_lm_head_to_fp32,
        )

    @property
    def teacher_prompts(self) -> TeacherPrompts:
        return prompts_of(self.trainer._host())

    def rounds(self, first: int) -> Iterator[list[dict[str, Any]]]:
        """Rows of the batches of this process, from the `first` on, over the data again and again.

        Raises:
            ConfigError: where the data are fewer than the prompts of one round.
        """
        skipped = 0
        while True:
            rows = 0
            for inputs in self.trainer.get_train_dataloader():
                rows += 1
                if skipped < first:
                    skipped += 1
                else:
                    yield inputs
            if not rows:
                raise ConfigError(
                    f"the {len(self.trainer.train_dataset)} problems are fewer than the groups "
                    "of one batch on all processes; set fewer groups."
                )

    def sample(self, rows: list[dict[str, Any]], seed: int, number: int) -> Sampled:
        """Draw the rollouts of a batch.

        Args:
            rows: of this process.
            seed: of the probe.
            number: of the round, in which all processes draw.
        """
        trainer, world = self.trainer, self.world
        key = random.Random(f"{seed}/{number}/{world.process_index}")
        set_seed(key.getrandbits(31))
        trainer.state.global_step = number
        trainer.model.train()
        batch = trainer._generate_and_score_completions(rows)
        assert trainer._attached is not None
        step = trainer._attached.step
        groups = len(step.rollouts) // step.reward_NG.shape[1]
        first = world.process_index * groups
        reward_NG = step.reward_NG[first : first + groups].clone()
        if step.rollouts.masked:
            reward_NG[torch.tensor(step.rollouts.masked).view_as(reward_NG)] = torch.nan
        return Sampled(
            step.rollouts,
            reward_NG,
            batch["advantages"].float().cpu(),
            _coefficients(batch, trainer.args.loss_type, trainer.max_completion_length).cpu(),
            written_tokens(batch).cpu(),
        )


def check_subject(config: RunConfig) -> None:
    """Refuse a config that names what is not there, before a folder is made for it.

    Raises:
        ValueError: for a task, an option, an argument or a model that cannot be.
    """
    check_run(_neutral(config))
    adapter_of(config.lora)
    find_model(config.model)


def subject_of(config: RunConfig, groups: int, checkpoint: Path | None, folder: Path) -> Subject:
    """The policy of a run, or of one of its checkpoints, with the trainer that samples it.

    Args:
        config: of the run.
        groups: of a batch.
        checkpoint: whose weights replace those that the run begins with.
        folder: where the trainer may write.

    Raises:
        ValueError: for a model, data or settings that cannot be.
    """
    source = load_source(config)
    whole = trainer_arguments(_neutral(config), source, RunFolder(folder))
    if whole.loss_type not in AGGREGATIONS:
        raise ConfigError(
            f"loss_type is {whole.loss_type!r}, whose weight of a token a probe does not know; it "
            f"knows {', '.join(AGGREGATIONS)}."
        )
    sizes = {
        "per_device_train_batch_size": groups * whole.num_generations,
        "gradient_accumulation_steps": 1,
        "steps_per_generation": 1,
        "generation_batch_size": None,
        "num_iterations": 1,
        "beta": 0.0,
    }
    args = trainer_arguments(_neutral(config, **sizes), source, RunFolder(folder))
    set_seed(config.seed)  # the adapter of a run that begins is drawn
    model, tokenizer = load_policy(find_model(config.model), config.dtype)
    trainer = SCGRPOTrainer(
        model,
        source.rewards,
        args,
        source.train,
        processing_class=tokenizer,
        environment_factory=source.environment,
        peft_config=adapter_of(config.lora),
    )
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ConfigError(
            "the model is sharded over processes, and a probe needs it whole on each; launch it "
            "with DDP, or on one process."
        )
    if checkpoint is not None:
        trainer._load_from_checkpoint(str(checkpoint))
    per_process = whole.per_device_train_batch_size * whole.gradient_accumulation_steps
    return Subject(trainer, per_process * trainer.accelerator.num_processes)


def _neutral(config: RunConfig, **sizes: Any) -> RunConfig:
    """The same run without a teacher: a probe asks one of its own."""
    method = {f.name: f.default for f in fields(Method) if f.name not in KEPT_OF_METHOD}
    method |= {"advantage": "group", "teacher": "none", "use": "none"}
    own = {k: v for k, v in config.trainer.items() if k not in method and k != "teacher_scorer"}
    return replace(config, eval_steps=0, rollout_steps=0, trainer=own | method | sizes)


def _coefficients(batch: Batch, loss_type: str, max_completion_length: int) -> Tensor:
    """Derivative `(B, T)` of the aggregated loss by each token's, for this batch alone."""
    written = written_tokens(batch)
    loss_BT = torch.zeros(written.shape, device=written.device, requires_grad=True)
    alone = batch | {"num_items_in_batch": written.sum()}
    how = Aggregation(loss_type, 1, max_completion_length, 1)
    how(loss_BT, alone, Update(0, 1)).backward()
    assert loss_BT.grad is not None
    return loss_BT.grad
