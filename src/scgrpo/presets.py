"""One function per row of the paper's tables: the `SCGRPOConfig` fields that the method means.

    SCGRPOConfig(**presets.sc_grpo(), output_dir="run")

A preset sets every field that it means, since TRL's own defaults may change and differ from the
paper's (loss_type, for one).
"""

from collections.abc import Callable
from typing import Any


def grpo() -> dict[str, Any]:
    """Group-normalised advantage, the same for every token of a rollout."""
    return {
        "advantage": "group",
        "teacher": "none",
        "use": "none",
        "loss_type": "grpo",
        "importance_sampling_level": "token",
        "scale_rewards": "group",
        "multi_objective_aggregation": "sum_then_normalize",
        "epsilon": 0.2,
        "epsilon_high": None,
        "delta": None,
        "beta": 0.0,
        "num_iterations": 1,
        "top_entropy_quantile": 1.0,
        "mask_truncated_completions": False,
    }


def sc_grpo() -> dict[str, Any]:
    """GRPO with each token weighted by what an own verified rollout would have changed."""
    return grpo() | {
        "teacher": "self",
        "use": "weight",
        "reference_set": "partial+none",
        "solve_threshold": 1.0,
        "diversity_alpha": 0.1,
        "threshold_percentile": 75.0,
        "threshold_min": 1e-4,
        "threshold_fixed": None,
        "threshold_scope": "batch",
    }


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {
    "grpo": grpo,
    "sc-grpo": sc_grpo,
}


def load_preset(name: str) -> dict[str, Any]:
    """The fields of a preset by its name.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]()
