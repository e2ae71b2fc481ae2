"""How a policy is sampled in training, as the options of an evaluation."""

from collections.abc import Mapping
from typing import Any

SAMPLED = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def sampling_options(trainer: Mapping[str, Any]) -> dict[str, Any]:
    """Options that render and sample as training does.

    Args:
        trainer: TRL's arguments by name, of which `generation_kwargs` come before the others.

    Returns:
        Those of `SAMPLED` that are set, and `template_options`.
    """
    set_there = {**trainer, **(trainer.get("generation_kwargs") or {})}
    options = {name: set_there[name] for name in SAMPLED if set_there.get(name) is not None}
    return options | {"template_options": dict(trainer.get("chat_template_kwargs") or {})}
