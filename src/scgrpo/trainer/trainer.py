"""`SCGRPOTrainer`: TRL's GRPO trainer with token-level credit."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from trl import GRPOConfig

from scgrpo.credit.aggregation import Aggregation
from scgrpo.credit.build import Host, build_credit, new_memory
from scgrpo.credit.credit import Attached
from scgrpo.credit.use import Update
from scgrpo.rollouts import Batch, Metrics, Rollouts, StepContext
from scgrpo.teachers.policy import Policy
from scgrpo.trainer import checks
from scgrpo.trainer.catching import CatchingTrainer
from scgrpo.trainer.citation import PAPER
from scgrpo.trainer.compat import require_known_trl
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.dynamic_sampling import DynamicSampling
from scgrpo.trainer.frozen_models import FrozenModels
from scgrpo.trainer.rewards import OVERLONG_NAME, check_verifier_range, prepared_rewards
from scgrpo.trainer.timing import PhaseTimes, peak_memory
from scgrpo.trainer.world import world_of

require_known_trl()


@dataclass(frozen=True)
class WeighedBatch:
    """A generation batch as it is trained on, for those who keep records of it."""

    attached: Attached
    micro_batches: list[Batch]
    """Shuffled, cut and weighed."""
    verifier: int
    """Column of the verifier among the rewards."""


RolloutSink = Callable[[WeighedBatch], None]


class SCGRPOTrainer(CatchingTrainer):
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
    _paper = PAPER

    def __init__(
        self,
        model: Any,
        reward_funcs: Any = None,
        args: GRPOConfig | None = None,
        train_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        args = SCGRPOConfig.of(args, model)
        environment = kwargs.get("environment_factory") is not None
        checks.check_dataset(train_dataset, args, environment=environment)
        functions = prepared_rewards(reward_funcs, args, environment=environment)
        super().__init__(model, functions, args, train_dataset, **kwargs)
        checks.check_prompts(
            train_dataset,
            self._tokenizer,
            checks.context_length(self.model),
            {"chat_template": self.chat_template, **self.chat_template_kwargs},
        )
        own = [name for name in self.reward_func_names if name != OVERLONG_NAME]
        verifier = own[checks.verifier_column(own, args.verifier)]
        self._verifier = self.reward_func_names.index(verifier)
        self._world = world_of(self.accelerator)
        self._credit = build_credit(self._host())
        self._wants_student_states = self._credit.use.wants_student_states
        self._memory = new_memory(args.method)
        self._attached: Attached | None = None
        self._weighed = True
        self._times = PhaseTimes()
        self._sampling = DynamicSampling(
            self._world,
            self.train_dataset,
            self.num_generations,
            args.resample_rounds,
            args.seed,
            self._verifier,
        )
        self.rollout_sink: RolloutSink | None = None
        self.inspected_rollouts = 0

    def _host(self) -> Host:
        args = self.args
        checks.check_teacher(args.method, self.train_dataset, reads_images=self._is_vlm)
        unwrapped = self.accelerator.unwrap_model(self.model)
        return Host(
            args.method,
            self._world,
            Policy.of(unwrapped, lambda: self.model),
            self._tokenizer,
            FrozenModels(
                self.accelerator,
                {"dtype": self.model.dtype, "device_map": None}
                | (args.teacher_model_init_kwargs or {}),
                self.is_deepspeed_enabled,
                self.is_fsdp_enabled,
            ),
            Aggregation(
                args.loss_type,
                args.steps_per_generation,
                self.max_completion_length,
                self._world.num_processes,
            ),
            self.reward_weights,
            self._sampling_logps,
            self.accelerator.autocast,
            self.temperature,
            args.guide,
            checks.teacher_length(args.teacher_max_length, checks.context_length(unwrapped)),
            self.chat_template,
            self.chat_template_kwargs,
            args.reference_thinking,
            args.score_tokens,
            args.cast_lm_head_to_fp32,
        )

    # --- TRL's hooks, in the order in which it calls them ---

    def _generate(self, prompts: list[Any]) -> Any:
        with self._times.timed("generate"):
            return super()._generate(prompts)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        if not self.model.training:
            return self._roll_out(inputs)[0]
        if self.args.dynamic_sampling:
            batch, rollouts, logged = self._sampling.fill(
                inputs, self.state.global_step, self._roll_out
            )
            self._log_train(logged)
        else:
            batch, rollouts = self._roll_out(inputs)
        self._attach_credit(batch, rollouts)
        return batch

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        with self._times.timed("prepare"):
            inputs = super()._prepare_inputs(generation_batch)
            if not self._weighed:
                self._weigh_tokens()  # in place: what TRL has just handed out is among them
        return inputs

    # --- the method ---

    def _attach_credit(self, batch: Batch, rollouts: Rollouts) -> None:
        step = self._step_context(rollouts)
        check_verifier_range(step.reward_NG, self.reward_func_names[self._verifier])
        with self.accelerator.autocast():
            self._attached = self._credit.attach(batch, step, self._memory)
        self._memory = self._attached.references.memory
        batch |= self._attached.columns
        self._weighed = False
        self._times.add(self._attached.passes.seconds)
        self._log_train(self._attached.logged)

    def _weigh_tokens(self) -> None:
        assert self._attached is not None
        weighed = self._credit.weigh(self._buffered_inputs, self.args.gradient_accumulation_steps)
        for micro_batch, columns in zip(self._buffered_inputs, weighed.columns, strict=True):
            micro_batch |= columns
        self._weighed = True
        self._log_train(weighed.logged)
        if self._wants_records and self.rollout_sink is not None:
            self.rollout_sink(WeighedBatch(self._attached, self._buffered_inputs, self._verifier))

    def _compute_loss(self, model: nn.Module, inputs: Batch) -> Tensor:
        def surrogate() -> Tensor:
            with self._penalty_in_reward():
                return super(SCGRPOTrainer, self)._compute_loss(model, inputs)

        update = Update(self.state.global_step, self.current_gradient_accumulation_steps)
        loss = self._credit.loss(inputs, surrogate, update)
        self._times.add(loss.seconds)
        self._log_train(loss.logged)
        return loss.value

    @contextmanager
    def _penalty_in_reward(self) -> Any:
        """Keep TRL's KL to the initial policy out of the loss where the reward has it."""
        beta = self.beta
        self.beta = 0.0 if self.args.reward_kl > 0 else beta
        try:
            yield
        finally:
            self.beta = beta

    def _step_context(self, rollouts: Rollouts) -> StepContext:
        reward_NG = rollouts.reward_per_func[:, self._verifier].view(-1, self.num_generations)
        accumulation = self.args.gradient_accumulation_steps
        generate_every = self.args.steps_per_generation * self.num_iterations
        batch_of_step = self._step % accumulation // generate_every
        inspected = min(self.inspected_rollouts, len(rollouts)) if self._wants_records else 0
        return StepContext(
            rollouts,
            reward_NG.float().cpu(),
            self._world,
            self.args.seed,
            self.state.global_step,
            first_group=batch_of_step * len(reward_NG),
            inspected=frozenset(range(inspected)),
        )

    @property
    def _wants_records(self) -> bool:
        every = self.args.rollout_steps
        return self.rollout_sink is not None and every > 0 and self.state.global_step % every == 0

    # --- time and metrics ---

    def _log_train(self, values: Metrics) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any) -> Tensor:
        with self._times.timed("update"):
            loss = super().training_step(model, inputs, num_items_in_batch)
        if self._step % self.current_gradient_accumulation_steps == 0:
            self._log_train(self._times.flush() | {"memory/peak": peak_memory()})
        return loss
