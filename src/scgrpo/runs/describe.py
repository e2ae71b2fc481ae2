"""What a run was made of, for its folder."""

import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from scgrpo.runs.run_config import RunConfig
from scgrpo.trainer.config import SCGRPOConfig

PACKAGES = ("scgrpo", "torch", "trl", "transformers", "accelerate", "datasets")


def describe(config: RunConfig, args: SCGRPOConfig) -> dict[str, Any]:
    """Everything that the run is made of, as it stands in `config.yaml`."""
    return {
        "name": config.folder_name,
        "method": {"preset": config.preset, **asdict(args.method)},
        "run": asdict(config),
        "task": config.task_name or config.dataset,
        "model": config.model,
        "seed": config.seed,
        "trainer": _plain(args.to_dict()),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
        "git_commit": _git_commit(),
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _plain(value: Any) -> Any:
    """The same value in types that YAML knows."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _git_commit() -> str | None:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
