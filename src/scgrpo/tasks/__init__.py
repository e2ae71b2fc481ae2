"""Tasks by name; a user's package adds its own by the entry point group `scgrpo.tasks`."""

from importlib.metadata import entry_points
from inspect import signature
from typing import Any

from scgrpo.mistakes import shown
from scgrpo.tasks.base import Task as Task

GROUP = "scgrpo.tasks"
DEFAULT_TASK = "synthetic"
"""Of a run or an evaluation that names none; embedded, so that it needs no data."""


def available_tasks() -> list[str]:
    """Names of all tasks that installed packages offer."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load_task(name: str, /, **options: Any) -> Task:
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
    kind = next(iter(found)).load()
    try:
        signature(kind).bind(**options)
        signature(kind.__init__).bind(None, **options)
    except TypeError as error:
        raise ValueError(
            f"task {name!r} cannot have the options {shown(options)} ({error}); write options that "
            "it has, by name."
        ) from error
    task: Task = kind(**options)
    return task
