"""From a run to the trainer's arguments."""

import torch

from scgrpo.presets import load_preset
from scgrpo.runs.data import Source
from scgrpo.runs.run_config import RUN_DEFAULTS, RunConfig
from scgrpo.runs.run_folder import RunFolder
from scgrpo.trainer.config import SCGRPOConfig


def trainer_arguments(config: RunConfig, source: Source, folder: RunFolder) -> SCGRPOConfig:
    """The trainer's arguments: run defaults < task < preset < what the user wrote."""
    fields = (
        RUN_DEFAULTS
        | {"bf16": torch.cuda.is_available(), "use_cpu": not torch.cuda.is_available()}
        | {"guide": source.guide}
        | source.trainer_defaults
        | load_preset(config.preset)
        | {"rollout_steps": config.rollout_steps, "seed": config.seed}
        | config.trainer
    )
    return SCGRPOConfig(output_dir=str(folder.checkpoints), **fields)
