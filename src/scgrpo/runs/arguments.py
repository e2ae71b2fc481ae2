"""From a run to the trainer's arguments."""

import re
from typing import Any

import torch

from scgrpo.mistakes import ConfigError, on_one_line, shown
from scgrpo.presets import load_preset
from scgrpo.run_folder import RunFolder
from scgrpo.runs.data import Source
from scgrpo.runs.run_config import RUN_DEFAULTS, RunConfig
from scgrpo.trainer.config import SCGRPOConfig, computes_in_bfloat16
from scgrpo.trainer.tracking import check_trackers


def trainer_arguments(config: RunConfig, source: Source, folder: RunFolder) -> SCGRPOConfig:
    """The trainer's arguments: run defaults < task < preset < what the user wrote.

    Raises:
        ConfigError: for values that TRL or transformers refuse, naming the key where one of those
            that the user wrote is refused by itself.
    """
    defaults = (
        RUN_DEFAULTS
        | {"bf16": computes_in_bfloat16(), "use_cpu": not torch.cuda.is_available()}
        | {"guide": source.guide}
        | source.trainer_defaults
        | load_preset(config.preset)
        | {"rollout_steps": config.rollout_steps, "seed": config.seed}
        | {"output_dir": str(folder.checkpoints), "run_name": config.folder_name}
        | ({"hub_model_id": config.folder_name} if config.trainer.get("push_to_hub") else {})
    )
    _check_counts(config.trainer)
    check_trackers((defaults | config.trainer).get("report_to"))
    try:
        return SCGRPOConfig(**defaults | config.trainer)
    except Exception as error:  # checks deep inside of three libraries raise anything
        raise _explained(error, defaults, config.trainer) from error


def _check_counts(written: dict[str, Any]) -> None:
    """Refuse counts with which TRL and transformers fail only where they count with them."""
    for key, least in _COUNTS.items():
        value = written.get(key)
        if value is not None and not least <= value < float("inf"):
            raise ConfigError(f"{key} is {value}; it must be at least {least}, and finite.")


_COUNTS = {
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "steps_per_generation": 1,
    "num_iterations": 1,
    "max_completion_length": 1,
    "num_train_epochs": 0,
    "warmup_steps": 0,
    "save_steps": 0,
    "logging_steps": 0,
}


def _explained(error: Exception, defaults: dict[str, Any], written: dict[str, Any]) -> ConfigError:
    """The error as a sentence that names a key."""
    said = on_one_line(error)
    names = isinstance(error, ValueError) and any(re.search(rf"\b{key}\b", said) for key in written)
    if names or not written or _refused(defaults):
        return ConfigError(f"{said}.")
    keys = [key for key, value in written.items() if _refused(defaults | {key: value})] or written
    values = ", ".join(f"{key}={shown(written[key], 60)}" for key in keys)
    return ConfigError(
        f"the trainer refuses {values} ({type(error).__name__}: {said}); change or leave out what "
        "is wrong (`scgrpo train --list-keys` has what each key is)."
    )


def _refused(values: dict[str, Any]) -> bool:
    try:
        SCGRPOConfig(**values)
    except Exception:  # as above
        return True
    return False
