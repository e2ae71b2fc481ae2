"""`SCGRPOTrainer`: TRL's GRPO trainer with token-level credit."""

import textwrap
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler
from trl import GRPOConfig, GRPOTrainer

from scgrpo.credit import metrics
from scgrpo.credit.build import build_credit
from scgrpo.credit.scoring import captured_hidden_states, find_backbone
from scgrpo.rollouts import Rollouts
from scgrpo.runs.records import rollout_records
from scgrpo.teachers.lessons import DrawKey
from scgrpo.teachers.memory import TrajectoryMemory
from scgrpo.trainer.checkpoint import (
    discard_partial,
    load_generation_state,
    save_generation_state,
)
from scgrpo.trainer.checks import (
    check_dataset,
    check_dynamic_sampling,
    check_prompts,
    context_length,
    verifier_column,
)
from scgrpo.trainer.compat import require_known_trl
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.data_order import ResumableRepeatSampler
from scgrpo.trainer.dynamic_sampling import Tried, sample_until_full
from scgrpo.trainer.rewards import (
    OVERLONG_NAME,
    check_verifier_range,
    checked,
    with_overlong_penalty,
)
from scgrpo.trainer.timing import PhaseTimes

require_known_trl()

RolloutSink = Callable[[int, list[dict[str, Any]]], None]


class SCGRPOTrainer(GRPOTrainer):
    """Drop-in for `trl.GRPOTrainer`: the same arguments, and credit per token.

    Everything that is not credit is TRL's: generation, rewards, loss, distribution, logging. A
    plain `GRPOConfig` is taken as SC-GRPO with its fields.

    Args:
        model: as in `trl.GRPOTrainer`.
        reward_funcs: as in `trl.GRPOTrainer`; with several, `args.verifier` names the one that
            says solved.
        args: an `SCGRPOConfig`, or a `GRPOConfig`.
        train_dataset: rows with a column `prompt`.
        **kwargs: further arguments of `trl.GRPOTrainer`.

    Raises:
        ValueError: for data, rewards or a model that cannot work, before any compute is spent.

    Example:
        >>> trainer = SCGRPOTrainer(model="Qwen/Qwen3-8B", reward_funcs=verify,
        ...                         train_dataset=dataset)
        >>> trainer.train()
    """

    _tag_names = ["trl", "sc-grpo"]  # noqa: RUF012 -- TRL's name
    _name = "SC-GRPO"
    _paper = {  # noqa: RUF012 -- TRL's name
        "title": "Learning from Own Solutions: Self-Conditioned Credit Assignment for "
        "Reinforcement Learning with Verifiable Rewards",
        "id": "2606.18810",
        "citation": textwrap.dedent("""\
            @article{scgrpo2026,
                title  = {{Learning from Own Solutions: Self-Conditioned Credit Assignment for Reinforcement Learning with Verifiable Rewards}},
                year   = 2026,
                eprint = {arXiv:2606.18810},
            }"""),  # noqa: E501
    }

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        train_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        args = _as_scgrpo(args, model)
        environment = kwargs.get("environment_factory") is not None
        problems = args.generation_batch_size // args.num_generations
        check_dataset(train_dataset, problems, environment_owns_data=environment)
        if args.dynamic_sampling:
            check_dynamic_sampling(train_dataset, environment=environment)
        functions = _as_list(reward_funcs)
        single = len(functions) + environment == 1
        functions = [
            checked(f, is_verifier=single or getattr(f, "__name__", None) == args.verifier)
            for f in functions
        ]
        functions = with_overlong_penalty(functions, args)
        super().__init__(model, functions, args, train_dataset, **kwargs)
        check_prompts(
            train_dataset, self._tokenizer, context_length(self.model), self.template_options
        )
        own = [name for name in self.reward_func_names if name != OVERLONG_NAME]
        verifier = own[verifier_column(own, args.verifier)]
        self._verifier = self.reward_func_names.index(verifier)
        self._credit = build_credit(self)
        self._rollouts = Rollouts()
        self._weighed = True
        self._tried = Tried()
        self._times = PhaseTimes("generate", "prepare", "update")
        self.rollout_sink: RolloutSink | None = None
        self.inspected_rollouts = 0

    @property
    def template_options(self) -> dict[str, Any]:
        """Arguments with which this trainer renders chat templates, tools aside."""
        return {"chat_template": self.chat_template, **self.chat_template_kwargs}

    # --- what TRL makes of a generation batch, caught as it passes ---

    def _generate(self, prompts: list[Any]) -> Any:
        with self._times.timed("generate"):
            generated = super()._generate(prompts)
        rollouts = self._rollouts
        rollouts.prompts, rollouts.prompt_ids, rollouts.completion_ids = prompts, *generated[:2]
        rollouts.written = generated[2] or []
        if self.environment_factories is not None:
            rollouts.tools = [self._env_tools[name] for name in self._batch_environments]
        elif self.tools:
            rollouts.tools = [self.tools] * len(prompts)
        return generated

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._rollouts.reward_per_func = rewards
        return rewards

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        call = (model, input_ids, attention_mask, logits_to_keep, *args)
        if not self._tap_student_pass:
            return super()._get_per_token_logps_and_entropies(*call, **kwargs)
        self._tap_student_pass = False
        with captured_hidden_states(find_backbone(self._unwrapped)) as states:
            result = super()._get_per_token_logps_and_entropies(*call, **kwargs)
        predicting = slice(-logits_to_keep - 1, -1)
        self._rollouts.student_hidden = torch.cat([state[:, predicting] for state in states])
        return result

    def _roll_out(self, inputs: list[dict[str, Any]]) -> tuple[dict[str, Any], Rollouts]:
        self._rollouts = Rollouts(rows=inputs)
        self._tap_student_pass = self.model.training and self._trl_makes_a_student_pass
        batch = super()._generate_and_score_completions(inputs)
        self._tap_student_pass = False
        return batch, self._rollouts

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return self._roll_out(inputs)[0]
        if self.args.dynamic_sampling:
            batch, self._rollouts, logged = sample_until_full(
                self, inputs, self._roll_out, self._verifier, self._tried
            )
            self._log_train(logged)
        else:
            batch, _ = self._roll_out(inputs)
        self._attach_credit(batch)
        self._weighed = False
        return batch

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        with self._times.timed("prepare"):
            inputs = super()._prepare_inputs(generation_batch)
            if not self._weighed:
                self._weigh_tokens()  # in place: what TRL has just handed out is among them
        return inputs

    # --- the method ---

    def _attach_credit(self, batch: dict[str, Any]) -> None:
        rewards = self._rollouts.reward_per_func
        assert rewards is not None
        reward_NG = rewards[:, self._verifier].view(-1, self.num_generations).float().cpu()
        check_verifier_range(reward_NG, self.reward_func_names[self._verifier])
        rollouts = self._rollouts
        route_N = self._credit.teacher.route(rollouts, reward_NG, self.state.global_step)
        local = rollouts.local(self.accelerator)
        device = batch["advantages"].device
        batch["route"] = route_N.repeat_interleave(self.num_generations)[local].to(device)
        batch["rollout_row"] = torch.arange(local.stop - local.start, device=device)
        if self._wants_records:
            rollouts.inspected = set(range(min(self.inspected_rollouts, len(rollouts.rows))))
        self._follow_wrapping()
        with self.accelerator.autocast():
            logged = self._credit.attach(
                self, batch, rollouts, reward_NG, route_N, self._draw_key(len(route_N))
            )
        counted = len(route_N) - rollouts.masked_groups
        self._log_train(metrics.route_shares(route_N[:counted]) | logged)

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        def surrogate() -> Tensor:
            with self._penalty_in_reward():
                return super(SCGRPOTrainer, self)._compute_loss(model, inputs)

        self._follow_wrapping()
        loss, logged = self._credit.loss(self, inputs, surrogate)
        self._log_train(logged)
        return loss

    @contextmanager
    def _penalty_in_reward(self) -> Any:
        """Keep TRL's KL to the initial policy out of the loss where the reward has it."""
        beta = self.beta
        self.beta = 0.0 if self.args.reward_kl > 0 else beta
        try:
            yield
        finally:
            self.beta = beta

    def _follow_wrapping(self) -> None:
        """FSDP and DDP wrap the model after this trainer was built."""
        use: Any = self._credit.use
        asked: Any = getattr(use, "scorer", use)
        student = getattr(asked, "student", None)
        if student is not None:
            for policy in (student, asked.teacher):
                if policy.backbone is student.backbone:
                    policy.model = self.model

    def _weigh_tokens(self) -> None:
        self._weighed = True
        self._log_train(
            self._credit.weigh(self._buffered_inputs, self.args.gradient_accumulation_steps)
        )
        if self._wants_records and self.rollout_sink is not None:
            records = rollout_records(self, self._rollouts, self._buffered_inputs, self._verifier)
            self.rollout_sink(self.state.global_step, records)

    def _draw_key(self, groups: int) -> DrawKey:
        accumulation = self.args.gradient_accumulation_steps
        generate_every = self.args.steps_per_generation * self.num_iterations
        batch_of_step = self._step % accumulation // generate_every
        return DrawKey(self.args.seed, self.state.global_step, first_group=batch_of_step * groups)

    @property
    def _trl_makes_a_student_pass(self) -> bool:
        """Whether TRL scores the batch with the policy anyway, and what it computes is ours too."""
        generate_every = self.args.steps_per_generation * self.num_iterations
        misaligned = self.args.gradient_accumulation_steps % generate_every != 0
        corrects = self.use_vllm and self.vllm_importance_sampling_correction
        drops_out = any(isinstance(m, nn.Dropout) and m.p > 0 for m in self.model.modules())
        wanted = self._credit.use.needs_student_pass and not self.args.dynamic_sampling
        return wanted and (misaligned or corrects) and not drops_out

    @property
    def _pass_seconds(self) -> dict[str, float]:
        """Seconds of the teacher's and student's passes since the last log, added to in place."""
        use = self._credit.use
        return getattr(getattr(use, "scorer", use), "seconds", {})

    @property
    def _memory(self) -> TrajectoryMemory | None:
        return getattr(self._credit.teacher, "memory", None)

    @property
    def _unwrapped(self) -> Any:
        return self.accelerator.unwrap_model(self.model)

    @property
    def _wants_records(self) -> bool:
        every = self.args.rollout_steps
        return self.rollout_sink is not None and every > 0 and self.state.global_step % every == 0

    # --- time, metrics, data order, checkpoints ---

    def _log_train(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any) -> Tensor:
        with self._times.timed("update"):
            loss = super().training_step(model, inputs, num_items_in_batch)
        if self._step % self.current_gradient_accumulation_steps == 0:
            self._log_train(self._times.flush(self._pass_seconds))
            self._log_train({"memory/peak": metrics.peak_memory()})
        return loss

    def _get_train_sampler(self, dataset: Any = None) -> Sampler:
        return ResumableRepeatSampler.of(
            super()._get_train_sampler(dataset), lambda: int(self.state.epoch or 0)
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            # torch, safetensors and the file system each report a full disk in their own way.
            folder = Path(self._get_output_dir(trial=trial))
            raise discard_partial(folder, self.state.global_step, error) from error

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        save_generation_state(self, self._memory, output_dir)
        self.accelerator.wait_for_everyone()  # trainer_state.json, written next, means complete

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            load_generation_state(self, self._memory, checkpoint)


def _as_scgrpo(args: GRPOConfig | None, model: Any) -> SCGRPOConfig:
    if args is None:
        name = model if isinstance(model, str) else model.config._name_or_path
        return SCGRPOConfig(f"{name.rstrip('/').rpartition('/')[2]}-SC-GRPO")
    return args if isinstance(args, SCGRPOConfig) else SCGRPOConfig.from_grpo(args)


def _as_list(reward_funcs: Any) -> list[Any]:
    if reward_funcs is None:
        return []
    return list(reward_funcs) if isinstance(reward_funcs, list) else [reward_funcs]
