"""What a reward function returned, as numbers; whatever a user's classes do, nothing is raised."""

from collections.abc import Mapping, Set
from typing import Any


def listed(rewards: Any) -> list[Any] | None:
    """The rewards as a list.

    Args:
        rewards: what the function returned: a list, tuple, generator, array or tensor.

    Returns:
        None for what has no entries or no order: a number, a text, a set, a mapping.
    """
    try:
        return None if isinstance(rewards, str | bytes | Set | Mapping) else list(rewards)
    except Exception:  # a tensor without dimensions, and whatever a user's class raises
        return None


def number_in(reward: Any) -> float | None:
    """One reward as a number, None for what is none that a float can hold."""
    try:
        return None if isinstance(reward, str | bytes) else float(reward)
    except Exception:  # a user's class may raise anything
        return None
