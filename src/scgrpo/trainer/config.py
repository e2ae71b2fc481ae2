"""`SCGRPOConfig`: TRL's `GRPOConfig` with the choices of the method."""

import logging
import os
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar

from transformers.utils import is_torch_bf16_gpu_available, is_torch_xla_available
from trl import GRPOConfig

from scgrpo.config import Method
from scgrpo.credit.aggregation import AGGREGATIONS
from scgrpo.teachers.thinking import check_thinking
from scgrpo.trainer.serving import check_scorer

logger = logging.getLogger(__name__)


def computes_in_bfloat16() -> bool:
    """Whether the accelerator of this machine, if any, does."""
    return bool(is_torch_bf16_gpu_available() or is_torch_xla_available())


@dataclass
class SCGRPOConfig(Method, GRPOConfig):
    """All fields of `trl.GRPOConfig`, and those of `scgrpo.config.Method`.

    The defaults are SC-GRPO as in the paper; `scgrpo.presets` has the other methods. `loss_type`
    defaults to `grpo` (every rollout counts the same), the paper's objective, not to TRL's `dapo`;
    where a plain `GRPOConfig` is given to the trainer, it is what that says, `dapo` by default.

    Raises:
        ValueError: for a combination that cannot work, with the cure.
    """

    _VALID_DICT_FIELDS: ClassVar[list[str]] = [
        *GRPOConfig._VALID_DICT_FIELDS,
        "teacher_model_init_kwargs",
    ]

    loss_type: str = field(default="grpo", metadata={"help": "Paper: grpo. See trl.GRPOConfig."})

    verifier: str | None = field(
        default=None,
        metadata={
            "help": "Reward function that says solved; else the only one, or the weighted sum."
        },
    )
    guide: str = field(
        default="math",
        metadata={"help": "Guide of the teacher: math, code, agent, or a text with {reference}."},
    )
    reference_thinking: str = field(
        default="template",
        metadata={
            "help": "<think> blocks of references: template (as the chat template treats those of "
            "earlier turns), keep or remove."
        },
    )
    teacher_max_length: int | None = field(
        default=None,
        metadata={"help": "Longest teacher sequence in tokens; the model's context by default."},
    )
    teacher_model_init_kwargs: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": "Arguments of `from_pretrained` for teacher_model, such as its dtype."},
    )
    teacher_scorer: str = field(
        default="model",
        metadata={
            "help": "Who makes the teacher's pass: model (the trainer), or vllm (the engine that "
            "draws the rollouts, by prompt_logprobs), for weights of the sampled tokens' log-probs."
        },
    )
    score_tokens: int = field(
        default=16384, metadata={"help": "Padded tokens in one scoring micro-batch."}
    )
    share_prompts: bool = field(
        default=True,
        metadata={
            "help": "Read a prompt that several scored completions share once, and them behind its "
            "cached keys and values, where the model's cache can; false: with each of them."
        },
    )
    offload_teacher_states: bool = field(
        default=False,
        metadata={
            "help": "Keep what the teacher said on the CPU until the update weighs it there "
            "(threshold_scope='previous', or threshold_fixed); without a GPU it is there anyway."
        },
    )

    sort_by_length: bool = field(
        default=True,
        metadata={
            "help": "Cut each optimizer step into micro-batches of like length, without padding "
            "that none of them needs, where the loss does not depend on the cut; false: TRL's cut."
        },
    )
    skip_without_gradient: bool = field(
        default=True,
        metadata={
            "help": "Leave rollouts out of the update from which the loss has no gradient (groups "
            "of equal rewards, without a KL or teacher's term); false: train on all, as TRL does."
        },
    )

    rollout_steps: int = field(
        default=25, metadata={"help": "Steps between two logged rollout batches; 0 for none."}
    )

    def __post_init__(self) -> None:
        self._check_groups()
        self._choose_precision()
        GRPOConfig.__post_init__(self)
        self._check_method()

    def _check_method(self) -> None:
        self.check()
        check_thinking(self.reference_thinking)
        if self.use == "weight" or self.advantage == "gtpo":
            self._check_weighting()
        if self.use == "loss":
            self._check_loss()
        if self.advantage in ("whitened", "gtpo", "gigpo"):
            self._check_per_token()
        self._check_advantage()
        check_scorer(self)

    @property
    def method(self) -> Method:
        """The method that these fields describe."""
        return Method(**{spec.name: getattr(self, spec.name) for spec in fields(Method)})

    @classmethod
    def of(cls, args: GRPOConfig | None, model: Any) -> "SCGRPOConfig":
        """Arguments as a user gives them to the trainer: none, TRL's, or ours.

        Args:
            args: the arguments.
            model: as in `trl.GRPOTrainer`, after which a run without arguments is named.
        """
        if args is None:
            name = model if isinstance(model, str) else model.config._name_or_path
            return cls(f"{name.rstrip('/').rpartition('/')[2]}-SC-GRPO")
        return args if isinstance(args, cls) else cls.from_grpo(args)

    @classmethod
    def from_grpo(cls, args: GRPOConfig) -> "SCGRPOConfig":
        """The same run as SC-GRPO: all that a `GRPOConfig` is, and the defaults of the method.

        Args:
            args: a `GRPOConfig`, or a subclass with fields of its own, which the result has too;
                a field that is called as one of the method's is that one.

        Raises:
            ValueError: for a combination that cannot work, with the cure.
        """
        config: SCGRPOConfig = object.__new__(_adopting(cls, type(args)))
        config.__dict__ |= {f.name: f.default for f in fields(cls)} | vars(args)
        config._check_method()
        return config

    def _choose_precision(self) -> None:
        """TRL trains in bfloat16 unless it is told otherwise, and refuses where nothing can."""
        if self.bf16 is None and not (self.fp16 or self.use_cpu or computes_in_bfloat16()):
            self.bf16 = False
            logger.warning(
                "no device here computes in bfloat16, so training is in float32 (bf16=False says "
                "the same)."
            )

    def _check_groups(self) -> None:
        group = self.num_generations
        if group is None or group < 2:
            raise ValueError(
                f"num_generations is {group}: a group needs at least 2 rollouts to compare; "
                "set num_generations to 2 or more (the paper uses 8)."
            )
        if self.generation_batch_size is not None:
            batch, source = self.generation_batch_size, "generation_batch_size"
        else:
            steps = "steps_per_generation"
            if self.steps_per_generation is None:
                steps = "gradient_accumulation_steps"
            processes = int(os.environ.get("WORLD_SIZE", "1"))
            batch = self.per_device_train_batch_size * processes * getattr(self, steps)
            source = f"per_device_train_batch_size x processes x {steps}"
        if batch % group:
            raise ValueError(
                f"a generation batch of {batch} rollouts ({source}) cannot be cut into groups of "
                f"{group}; make it a multiple of num_generations, for instance "
                f"{(batch // group + 1) * group}."
            )

    def _check_per_token(self) -> None:
        """Refuse what asks for the sign of a sequence's advantage, which returns per token lack."""
        asking = None
        if self.loss_type == "vespo":
            asking = "loss_type='vespo' chooses its parameters"
        if self.off_policy_mask_threshold is not None:
            asking = f"off_policy_mask_threshold={self.off_policy_mask_threshold} drops sequences"
        if asking is not None:
            raise ValueError(
                f"{asking} by the sign of a sequence's advantage, which "
                f"advantage={self.advantage!r} gives each token for itself; set advantage='group', "
                "or loss_type='grpo' and no off_policy_mask_threshold."
            )

    def _check_weighting(self) -> None:
        if self.score_tokens < 1:
            raise ValueError(f"score_tokens is {self.score_tokens}; it must be at least 1.")
        method = self.method
        if self.offload_teacher_states and not (
            method.weighs_in_update and method.needs_divergence
        ):
            raise ValueError(
                "offload_teacher_states=True has no states of a teacher to keep for the update, "
                f"since threshold_scope={self.threshold_scope!r} and weight={self.weight!r} keep "
                "none; set threshold_scope='previous' with a weight of D, or leave it out."
            )

    def _check_loss(self) -> None:
        if self.loss_type not in AGGREGATIONS:
            raise ValueError(
                f"use='loss' adds a term to the loss, which loss_type={self.loss_type!r} does not "
                f"aggregate per token; use one of {', '.join(AGGREGATIONS)}."
            )

    def _check_advantage(self) -> None:
        if self.reward_kl == 0:
            return
        if self.beta not in (0, self.reward_kl):
            raise ValueError(
                f"beta={self.beta} puts a KL to the initial policy into the loss, where "
                f"reward_kl={self.reward_kl} has it in the reward already; leave beta at 0."
            )
        # TRL keeps the initial policy, or can turn an adapter off, where beta is not 0; the trainer
        # takes the penalty out of the loss again.
        self.beta = self.reward_kl


@cache
def _adopting(ours: type[SCGRPOConfig], theirs: type[GRPOConfig]) -> type[SCGRPOConfig]:
    """Our config, which is also one of the user's class."""
    if issubclass(ours, theirs):
        return ours

    def __reduce__(self: SCGRPOConfig) -> Any:
        return _adopted, (ours, theirs, vars(self))

    members = {"__reduce__": __reduce__, "__module__": ours.__module__}
    return dataclass(init=False, repr=False)(type(theirs.__name__, (ours, theirs), members))


def _adopted(
    ours: type[SCGRPOConfig], theirs: type[GRPOConfig], state: dict[str, Any]
) -> SCGRPOConfig:
    config = object.__new__(_adopting(ours, theirs))
    config.__dict__ |= state
    return config
