"""Tasks by name; a user's package adds its own by the entry point group `scgrpo.tasks`."""

from inspect import signature
from typing import Any

from scgrpo.importing import import_function
from scgrpo.mistakes import ConfigError, require_known, shown
from scgrpo.tasks.base import Task as Task
from scgrpo.tasks.own import NAME as OWN
from scgrpo.tasks.own import OwnData

GROUP = "scgrpo.tasks"
DEFAULT_TASK = "synthetic"
"""Of a run or an evaluation that names none; embedded, so that it needs no data."""


def available_tasks() -> list[str]:
    """Names of all tasks that installed packages offer."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=GROUP)})


def require_task(name: str) -> None:
    """Refuse the name of no task; whether a file holds the one that is named is not looked at.

    Raises:
        ConfigError: with the nearest name and all of them.
    """
    if ":" not in name and name != OWN:
        require_known("task", name, available_tasks())


def short_name(name: str) -> str:
    """A task's name where it is part of a file's: the class of one that a file holds."""
    return name.rpartition(":")[2]


def load_task(name: str, /, **options: Any) -> Task:
    """The task of this name.

    Args:
        name: a name of `available_tasks`, `path.py:Class` or `package.module:Class`.
        **options: options of the task, such as its dials.

    Raises:
        ValueError: for an unknown name or option, or a class that is no task.
    """
    require_task(name)
    kind = _class_of(name)
    try:
        signature(kind).bind(**options)
        signature(kind.__init__).bind(None, **options)
    except TypeError as error:
        raise ValueError(
            f"task {name!r} cannot have the options {shown(options)} ({error}); write options that "
            "it has, by name."
        ) from error
    task: Task = kind(**options)
    # A protocol asks for every property, of which some read data.
    is_task = Task in type(task).__mro__ or isinstance(task, Task)
    if not is_task or not isinstance(getattr(task, "name", None), str):
        raise ConfigError(
            f"task {name!r} is no task; write a class below scgrpo.tasks.base.Task with a name "
            "(scgrpo tasks --new FILE.py writes one)."
        )
    return task


def _class_of(name: str) -> Any:
    if name == OWN:
        return OwnData
    if ":" in name:
        return import_function(name, "task")
    from importlib.metadata import entry_points

    return next(iter(entry_points(group=GROUP, name=name))).load()
