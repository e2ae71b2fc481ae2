"""TRL's trainer, as the method is told of it: the `Host` of `scgrpo.credit.build`."""

from scgrpo.credit.aggregation import Aggregation
from scgrpo.credit.build import Host
from scgrpo.teachers.policy import Policy
from scgrpo.trainer import checks
from scgrpo.trainer.config import SCGRPOConfig
from scgrpo.trainer.frozen_models import FrozenModels
from scgrpo.trainer.recutting import RecuttingTrainer
from scgrpo.trainer.serving import EngineLogps
from scgrpo.trainer.vision import text_tokenizer
from scgrpo.trainer.world import world_of
from scgrpo.trainer.zero3 import announce_head


class HostingTrainer(RecuttingTrainer):
    """Says what the method needs of it."""

    args: SCGRPOConfig

    def _host(self) -> Host:
        args, world = self.args, world_of(self.accelerator)
        checks.check_teacher(args.method, self.train_dataset)
        unwrapped = self.accelerator.unwrap_model(self.model)
        announce_head(unwrapped)
        longest = checks.teacher_length(args.teacher_max_length, checks.context_length(unwrapped))
        served = None
        if args.teacher_scorer == "vllm":
            served = EngineLogps(self.vllm_generation, world)
            longest = served.fitting(args.teacher_max_length, longest)
        return Host(
            args.method,
            world,
            Policy.of(unwrapped, lambda: self.model),
            text_tokenizer(self.processing_class),
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
                world.num_processes,
            ),
            self._sampling_logps,
            self.accelerator.autocast,
            self.temperature,
            args.guide,
            longest,
            self.chat_template,
            self.chat_template_kwargs,
            args.reference_thinking,
            args.score_tokens,
            args.share_prompts,
            prompts_are_given=self.rollout_func is not None,
            heads_in_float32=args.cast_lm_head_to_fp32,
            served=served,
            offloads_states=args.offload_teacher_states,
        )
