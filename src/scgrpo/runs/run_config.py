"""What one training run is: the keys of a run's YAML beside those of `SCGRPOConfig`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scgrpo.mistakes import ConfigError
from scgrpo.tasks import DEFAULT_TASK, OWN, short_name
from scgrpo.tasks.own import own_options

RUN_DEFAULTS: dict[str, Any] = {
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
    "report_to": "none",
    "save_strategy": "steps",
    "save_steps": 50,
    "save_total_limit": 2,
    "disable_tqdm": True,
    "max_steps": 200,
}
"""Keys of `SCGRPOConfig` that a run has otherwise than TRL where nobody sets them."""


@dataclass(frozen=True)
class RunConfig:
    """One training run; `trainer` holds the keys that go to `SCGRPOConfig`."""

    preset: str = field(default="sc-grpo", metadata={"help": "Method: a name of `scgrpo presets`."})
    task: str | None = field(
        default=None,
        metadata={
            "help": "Name of a task, or path.py:Class for one of your own; "
            f"`{DEFAULT_TASK}` when neither task nor dataset is given."
        },
    )
    task_options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Options of the task, such as its dials."}
    )
    dataset: str | None = field(
        default=None,
        metadata={
            "help": "Hub id (or ID:SPLIT) or local jsonl/json/parquet/csv: a column prompt, and "
            "what the reward takes."
        },
    )
    reward: str | list[str] | None = field(
        default=None,
        metadata={
            "help": "Reward for `dataset`: path.py:function or package.module:function; several "
            "with `reward_weights` and `verifier`."
        },
    )
    eval_dataset: str | None = field(
        default=None, metadata={"help": "Evaluated on in place of a share of `dataset`."}
    )
    eval_share: float | None = field(
        default=None,
        metadata={
            "help": "Share of `dataset` that is held out, evaluated on and never trained on; a "
            "tenth, at most 256 rows, by default; 0 for none."
        },
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": "In place of the data's system message; '' for none."}
    )
    chat_prompts: bool | None = field(
        default=None,
        metadata={
            "help": "Whether a prompt that is a text becomes the message of a user; unset, it does "
            "not, and a model with a chat template has a warning."
        },
    )
    model: str = field(
        default="tiny",
        metadata={"help": "Hub id, local folder, or `tiny` or `tiny-agent`, which are shipped."},
    )
    dtype: str = field(
        default="float32",
        metadata={"help": "Weights that are trained: float32, or bfloat16 to halve the memory."},
    )
    lora: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Arguments of peft.LoraConfig, to train an adapter: {r: 64}."},
    )
    output_dir: str = field(default="runs", metadata={"help": "Where run folders are kept."})
    name: str | None = field(
        default=None, metadata={"help": "Folder of this run; PRESET-TASK-sSEED by default."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of data order, sampling and references."})
    eval_steps: int = field(
        default=50, metadata={"help": "Steps between two evaluations; 0 for none."}
    )
    eval_problems: int = field(default=64, metadata={"help": "Problems in each evaluation."})
    eval_k: int = field(default=8, metadata={"help": "Samples for each of these problems."})
    rollout_steps: int = field(
        default=25, metadata={"help": "Steps between two logged rollout batches; 0 for none."}
    )
    resume: str = field(
        default="auto",
        metadata={"help": "auto: from the last complete checkpoint; never; or a checkpoint path."},
    )
    trainer: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Keys of SCGRPOConfig, such as learning_rate."}
    )

    @property
    def task_name(self) -> str | None:
        """The task, None for a data set of the user's own."""
        return self.task or (None if self.dataset else DEFAULT_TASK)

    @property
    def subject(self) -> tuple[str, dict[str, Any]]:
        """The task and its options; a data set of the user's own is one too.

        Raises:
            ConfigError: for a data set beside a task, or without a reward.
        """
        if self.dataset is None:
            return str(self.task_name), self.task_options
        for key in ("task", "task_options"):
            if getattr(self, key):
                raise ConfigError(
                    f"both {key}={getattr(self, key)!r} and dataset={self.dataset!r} are given; "
                    "keep one."
                )
        if not self.reward:
            raise ConfigError(
                f"dataset={self.dataset!r} needs a reward; set reward to path.py:function or "
                "package.module:function."
            )
        return OWN, own_options(vars(self) | self.trainer)

    @property
    def folder_name(self) -> str:
        """Name of the run's folder in `output_dir`."""
        subject = short_name(self.task_name) if self.task_name else Path(str(self.dataset)).stem
        return self.name or f"{self.preset}-{subject}-s{self.seed}"
