"""TRL's trainer, whose generation batch is caught as it passes.

TRL keeps no rewards, no groups and no hidden states; each hook notes what goes by.
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scgrpo.rollouts import Batch, Rollouts
from scgrpo.teachers.policy import Policy, captured_hidden_states, find_backbone
from scgrpo.trainer import checks
from scgrpo.trainer.rewards import check_finite, checked_functions
from scgrpo.trainer.sharing import ignores_left_padding, is_random, learns_positions
from scgrpo.trainer.token_ratio import TokenRatioTrainer
from scgrpo.trainer.world import world_of


class CatchingTrainer(TokenRatioTrainer):
    """Tells what a generation batch was made of."""

    _wants_student_states = False
    """Whether hidden states are to be kept of a student pass that TRL makes anyway."""
    _tap_student_pass = False

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        tokenized = super()._tokenize_prompts(prompts)
        context = checks.context_length(self.model)
        if self.model.training and context is not None:
            for prompt, ids in zip(prompts, tokenized[0], strict=True):
                if len(ids) >= context:
                    place = checks.place_of(prompt, self.train_dataset)
                    checks.check_length(len(ids), context, place)
        return tokenized

    def _generate(self, prompts: list[Any]) -> Any:
        generated = super()._generate(prompts)
        self._caught |= {
            "prompts": prompts,
            "prompt_ids": generated[0],
            "completion_ids": generated[1],
            "written": generated[2] or (),
        }
        if self.environment_factories is not None:
            self._caught["tools"] = [self._env_tools[name] for name in self._batch_environments]
        elif self.tools:
            self._caught["tools"] = [self.tools] * len(prompts)
        return generated

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Tensor:
        with checked_functions(self):
            rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        check_finite(rewards, self.reward_func_names)
        self._caught["reward_per_func"] = rewards
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
        backbone = find_backbone(self.accelerator.unwrap_model(self.model))
        with captured_hidden_states(backbone) as states:
            result = super()._get_per_token_logps_and_entropies(*call, **kwargs)
        predicting = slice(-logits_to_keep - 1, -1)
        self._caught["student_hidden"] = torch.cat([state[:, predicting] for state in states])
        return result

    def _roll_out(self, inputs: list[dict[str, Any]]) -> tuple[Batch, Rollouts]:
        """TRL's tensors of a batch, and the rollouts from which it made them."""
        self._caught = {"rows": inputs}
        self._tap_student_pass = (
            self.model.training and self._trl_makes_a_student_pass and self._is_ours
        )
        batch = super()._generate_and_score_completions(inputs)
        self._tap_student_pass = False
        if self.mask_truncated_completions:
            self._caught["masked"] = (~batch["completion_mask"].bool().any(1)).tolist()
        return batch, Rollouts(**self._caught)

    @torch.no_grad()
    def _sampling_logps(self, batch: Batch) -> Tensor:
        """Log-probs `(B, T)` of the policy that sampled, where TRL has not computed them."""
        if "old_per_token_logps" in batch:
            return batch["old_per_token_logps"]  # type: ignore[no-any-return]
        logps, _, _ = self._get_per_token_logps_and_entropies(
            self.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].shape[1],
            batch_size=self.args.per_device_train_batch_size,
        )
        return logps  # type: ignore[no-any-return]

    @property
    def _trl_makes_a_student_pass(self) -> bool:
        """Whether TRL scores the batch with the policy anyway."""
        generate_every = self.args.steps_per_generation * self.num_iterations
        misaligned = self.args.gradient_accumulation_steps % generate_every != 0
        corrects = self.use_vllm and self.vllm_importance_sampling_correction
        wanted = self._wants_student_states and not self.args.dynamic_sampling
        return wanted and (misaligned or corrects)

    @cached_property
    def _updates_once(self) -> bool:
        """Whether one update reads each rollout as a pass would, and the weight can wait for it."""
        if not self.args.method.weighs_in_update:
            return False
        per_step, per_batch = (
            getattr(self.args, name)
            for name in ("gradient_accumulation_steps", "steps_per_generation")
        )
        is_alone = self.num_iterations == 1 and per_step % per_batch == 0
        return is_alone and self.importance_sampling_level == "token" and self._is_ours

    @cached_property
    def _is_ours(self) -> bool:
        """Whether the states of TRL's pass are those that a pass of our own would give."""
        model = self.accelerator.unwrap_model(self.model)
        policy = Policy.of(model, lambda: self.model)
        if is_random(model) or learns_positions(policy.backbone):
            return False
        with self.accelerator.autocast():
            same = ignores_left_padding(policy)
        return world_of(self.accelerator).largest(not same) == 0
