"""Tasks by name; a user's package adds its own by the entry point group `scgrpo.tasks`."""

from importlib.metadata import entry_points
from typing import Any

from scgrpo.tasks.base import Task as Task

GROUP = "scgrpo.tasks"
DEFAULT_TASK = "synthetic"
"""Of a run or an evaluation that names none; embedded, so that it needs no data."""


def available_tasks() -> list[str]:
    """Names of all tasks that installed packages offer."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_task(name: str, **options: Any) -> Task:
    """The task of this name.

    Args:
        name: a name of `available_tasks`.
        **options: options of the task, such as its dials.

    Raises:
        ValueError: for an unknown name or option.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise ValueError(f"task is {name!r}; choose one of {', '.join(available_tasks())}.")
    task: Task = next(iter(found)).load()(**options)
    return task
