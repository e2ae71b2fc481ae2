"""What one training run is: the keys of a run's YAML beside those of `SCGRPOConfig`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scgrpo.tasks import DEFAULT_TASK

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
            "help": f"Name of a task; `{DEFAULT_TASK}` when neither task nor dataset is given."
        },
    )
    task_options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Options of the task, such as its dials."}
    )
    dataset: str | None = field(
        default=None,
        metadata={"help": "Hub id or local jsonl/parquet with columns prompt and answer."},
    )
    reward: str | None = field(
        default=None,
        metadata={"help": "Reward for `dataset`: package.module:function or path.py:function."},
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
    def folder_name(self) -> str:
        """Name of the run's folder in `output_dir`."""
        subject = self.task_name or Path(str(self.dataset)).stem
        return self.name or f"{self.preset}-{subject}-s{self.seed}"
