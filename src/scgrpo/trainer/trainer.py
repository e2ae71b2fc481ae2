"""`SCGRPOTrainer`: TRL's GRPO trainer with token-level credit."""

from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from trl import GRPOConfig

from scgrpo.credit.build import build_credit, new_memory
from scgrpo.credit.credit import Attached
from scgrpo.credit.use import Update
from scgrpo.rollouts import Batch, Metrics, Rollouts, StepContext, total_reward
from scgrpo.trainer import checks
from scgrpo.trainer.attention import avoid_faulty_attention
from scgrpo.trainer.citation import PAPER
from scgrpo.trainer.compat import require_known_trl
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.dynamic_sampling import DynamicSampling
from scgrpo.trainer.recording import RecordingTrainer
from scgrpo.trainer.records import WeighedBatch
from scgrpo.trainer.rewards import with_overlong_penalty
from scgrpo.trainer.timing import PhaseTimes, peak_memory
from scgrpo.trainer.tracking import check_trackers
from scgrpo.trainer.verification import GroupWatch, Verification
from scgrpo.trainer.vision import text_tokenizer
from scgrpo.trainer.world import world_of

require_known_trl()


class SCGRPOTrainer(RecordingTrainer):
    """Drop-in for `trl.GRPOTrainer`: the same arguments, and credit per token.

    Everything that is not credit is TRL's: generation, rewards, loss, distribution, logging. A
    plain `GRPOConfig`, or a subclass of it, is taken as SC-GRPO with its fields.

    Args:
        reward_funcs: as in `trl.GRPOTrainer`. A rollout is solved where its reward reaches
            `args.solve_threshold`: that of the function which `args.verifier` names, or else that
            of the only function, or else the weighted sum.
        args: an `SCGRPOConfig`, or a `GRPOConfig`.

    All other arguments are those of `trl.GRPOTrainer`, in its order.

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
        eval_dataset: Any = None,
        processing_class: Any = None,
        reward_processing_classes: Any = None,
        callbacks: Any = None,
        optimizers: Any = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        tools: Any = None,
        rollout_func: Any = None,
        environment_factory: Any = None,
    ) -> None:
        avoid_faulty_attention()
        args = SCGRPOConfig.of(args, model)
        check_trackers(args.report_to)
        checks.check_dataset(train_dataset, args, environment=environment_factory is not None)
        checks.check_reward_functions(reward_funcs)
        super().__init__(
            model=model,
            reward_funcs=with_overlong_penalty(reward_funcs, args),
            args=args,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            reward_processing_classes=reward_processing_classes,
            callbacks=callbacks,
            optimizers=optimizers,
            quantization_config=quantization_config,
            peft_config=peft_config,
            tools=tools,
            rollout_func=rollout_func,
            environment_factory=environment_factory,
        )
        checks.check_prompts(
            train_dataset,
            text_tokenizer(self.processing_class),
            checks.context_length(self.model),
            {"chat_template": self.chat_template, **self.chat_template_kwargs},
        )
        self._set_up(args)

    def _set_up(self, args: SCGRPOConfig) -> None:
        self._verification = Verification.of(
            self.reward_func_names, self.reward_weights, args.verifier
        )
        self._watch = GroupWatch(args.solve_threshold)
        self._world = world_of(self.accelerator)
        self._credit = build_credit(self._host())
        self._trust = self._credit.trust
        self._wants_student_states = self._credit.use.wants_student_states
        self._memory = new_memory(args.method)
        self._attached: Attached | None = None
        self._weighed = True
        self._position = 0
        """Micro-batches of the optimizer step so far."""
        self._times = PhaseTimes()
        self._sampling = DynamicSampling(
            self._world,
            self.train_dataset,
            self.num_generations,
            args.resample_rounds,
            args.seed,
            self._verification.reward,
        )
        self._begin_records()

    # --- TRL's hooks, in the order in which it calls them ---

    def _generate(self, prompts: list[Any]) -> Any:
        with self._times.timed("generate"):
            return super()._generate(prompts)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        if not self.model.training:
            batch, rollouts = self._roll_out(inputs)
            self._note_evaluated(rollouts)
            return batch
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
                self._weigh_tokens()
                self._recut(self._position)
                inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    # --- the method ---

    def _attach_credit(self, batch: Batch, rollouts: Rollouts) -> None:
        checks.check_images(self.args.method, "num_images" in batch)
        step = self._step_context(rollouts)
        with self.accelerator.autocast():
            self._attached = self._credit.attach(batch, step, self._memory)
        self._memory = self._attached.references.memory
        batch |= self._attached.columns
        self._weighed = False
        self._times.add(self._attached.passes.seconds)
        self._log_train(self._attached.logged)

    def _weigh_tokens(self) -> None:
        assert self._attached is not None
        accumulation = self.args.gradient_accumulation_steps
        weighed = self._credit.weigh(self._buffered_inputs, accumulation, self._position)
        for micro_batch, columns in zip(self._buffered_inputs, weighed.columns, strict=True):
            micro_batch |= columns
        self._weighed = True
        self._log_train(weighed.logged)
        if self.args.teacher == "self" and self.accelerator.is_main_process:
            step, share = self._attached.step, weighed.logged.get("credit/none_share")
            self._watch.see(step.reward_NG, step.step, share)
        if self._wants_records and self.rollout_sink is not None:
            self.rollout_sink(WeighedBatch(self._attached, self._buffered_inputs))

    def _compute_loss(self, model: nn.Module, inputs: Batch) -> Tensor:
        def surrogate() -> Tensor:
            with self._penalty_in_reward():
                return super(SCGRPOTrainer, self)._compute_loss(model, inputs)

        if not self.model.training:
            return surrogate()
        update = Update(
            self.state.global_step,
            self.current_gradient_accumulation_steps,
            bool(self.accelerator.sync_gradients),
        )
        loss = self._credit.loss(inputs, surrogate, update)
        self._times.add(loss.seconds)
        self._log_train(loss.logged)
        return loss.value * self._share(inputs)

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
        reward_B = self._verification.reward(rollouts.reward_per_func)
        reward_NG = reward_B.view(-1, self.num_generations)
        total_B = total_reward(rollouts.reward_per_func, self.reward_weights)
        batch_of_step = self._position // (self.args.steps_per_generation * self.num_iterations)
        return StepContext(
            rollouts,
            reward_NG.float().cpu(),
            total_B.view_as(reward_NG).float().cpu(),
            self._world,
            self.args.seed,
            self.state.global_step,
            first_group=batch_of_step * len(reward_NG),
            inspected=self.inspected_rollouts if self._wants_records else 0,
        )

    # --- time and metrics ---

    def _log_train(self, values: Metrics) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any) -> Tensor:
        with self._times.timed("update"):
            loss = super().training_step(model, inputs, num_items_in_batch)
        self._position = 0 if self.accelerator.sync_gradients else self._position + 1
        if self._step % self.current_gradient_accumulation_steps == 0:
            self._log_train(self._times.flush() | {"memory/peak": peak_memory()})
        return loss

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        norm = super()._clip_grad_norm(model)
        if not self.args.fp16:  # whose scaler leaves out steps of infinite gradients by itself
            checks.check_gradient(norm, self.state.global_step)
        return norm
