"""`SCGRPOConfig`: TRL's `GRPOConfig` with the choices of the method."""

import os
from dataclasses import dataclass, field, fields
from typing import Any

from trl import GRPOConfig

from scgrpo.config import Method


@dataclass
class SCGRPOConfig(GRPOConfig):
    """All fields of `trl.GRPOConfig`, and those of `scgrpo.config.Method`.

    The defaults are SC-GRPO as in the paper; `scgrpo.presets` has the other methods. `loss_type`
    defaults to `grpo` (every rollout counts the same), the paper's objective, not to TRL's `dapo`.

    Raises:
        ValueError: for a combination that cannot work, with the cure.
    """

    loss_type: str = field(default="grpo", metadata={"help": "Paper: grpo. See trl.GRPOConfig."})

    advantage: str = field(default="group", metadata={"help": "What the reward says: group."})
    teacher: str = field(default="self", metadata={"help": "none, or self: an own rollout."})
    use: str = field(default="weight", metadata={"help": "none, or weight: f(D) times the loss."})
    reference_set: str = field(
        default="partial+none",
        metadata={"help": "partial, partial+none, any-partial, all-correct or all."},
    )
    solve_threshold: float = field(
        default=1.0, metadata={"help": "Smallest verifier reward that counts as solved."}
    )
    diversity_alpha: float = field(
        default=0.1, metadata={"help": "Scale of the diversity advantage of unsolved groups."}
    )
    threshold_percentile: float = field(
        default=75.0, metadata={"help": "Percentile of D that becomes the scale c."}
    )
    threshold_min: float = field(default=1e-4, metadata={"help": "Floor of c, in nats."})
    threshold_fixed: float | None = field(
        default=None, metadata={"help": "A fixed c in nats instead of the percentile."}
    )
    threshold_scope: str = field(
        default="batch",
        metadata={"help": "Tokens that share one c: batch (an optimizer step) or micro_batch."},
    )

    verifier: str | None = field(
        default=None,
        metadata={"help": "Name of the reward function that says solved; needed with several."},
    )
    guide: str = field(
        default="math",
        metadata={"help": "Guide of the teacher: math, code, agent, or a text with {reference}."},
    )
    teacher_max_length: int | None = field(
        default=None,
        metadata={"help": "Longest teacher sequence in tokens; the model's context by default."},
    )
    score_tokens: int = field(
        default=16384, metadata={"help": "Padded tokens in one scoring micro-batch."}
    )

    rollout_steps: int = field(
        default=0, metadata={"help": "Steps between two logged rollout batches; 0 for none."}
    )

    def __post_init__(self) -> None:
        self._check_groups()
        super().__post_init__()
        self._check_weighting(self.method)

    @property
    def method(self) -> Method:
        """The method that these fields describe."""
        return Method(**{name.name: getattr(self, name.name) for name in fields(Method)})

    @classmethod
    def from_grpo(cls, args: GRPOConfig) -> "SCGRPOConfig":
        """The same run as SC-GRPO: every field of a plain `GRPOConfig`, `loss_type` included.

        `loss_type` is kept where the user moved it from TRL's default, else it is the paper's.
        """
        values: dict[str, Any] = {
            spec.name: getattr(args, spec.name) for spec in fields(args) if spec.init
        }
        if values["loss_type"] == GRPOConfig.loss_type:
            values["loss_type"] = cls.loss_type
        values["generation_batch_size"] = None  # derived from steps_per_generation again
        return cls(**values)

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

    def _check_weighting(self, method: Method) -> None:
        if method.use == "none":
            return
        if self.loss_type == "vespo":
            raise ValueError(
                "loss_type='vespo' reshapes advantages per sequence and cannot carry a weight per "
                "token; use loss_type='grpo' or 'dapo'."
            )
        if self.off_policy_mask_threshold is not None:
            raise ValueError(
                "off_policy_mask_threshold needs one advantage per sequence; leave it unset when "
                "tokens are weighted."
            )
        accumulation, generation = self.gradient_accumulation_steps, self.steps_per_generation
        if method.threshold_scope == "batch" and generation % accumulation:
            raise ValueError(
                f"steps_per_generation={generation} is no multiple of "
                f"gradient_accumulation_steps={accumulation}, so one optimizer step would see "
                "rollouts that do not exist yet when its threshold c is computed; make it a "
                "multiple, or set threshold_scope='micro_batch'."
            )
        if self.score_tokens < 1:
            raise ValueError(f"score_tokens is {self.score_tokens}; it must be at least 1.")
