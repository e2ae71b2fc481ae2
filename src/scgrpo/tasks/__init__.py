"""Tasks by name; a user's package adds its own by the entry point group `scgrpo.tasks`."""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

from scgrpo.importing import import_function
from scgrpo.mistakes import ConfigError, nearest, require_known, shown
from scgrpo.tasks.base import Task as Task
from scgrpo.tasks.own import NAME as OWN
from scgrpo.tasks.own import OwnData
from scgrpo.written.plain import plain_keys

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
    if ":" in name:
        options = _known_options(name, kind, options)
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


def _known_options(name: str, kind: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a user's class by the names of its arguments.

    Raises:
        ConfigError: for one that it does not have, with the nearest, or one that it lacks.
    """
    try:
        parameters = signature(kind).parameters.values()
    except (TypeError, ValueError):  # of something built in
        return dict(options)
    if any(p.kind in (Parameter.VAR_KEYWORD, Parameter.POSITIONAL_ONLY) for p in parameters):
        return dict(options)
    known = [p.name for p in parameters if p.kind is not Parameter.VAR_POSITIONAL]
    given = plain_keys(options)
    has = f"it has {', '.join(known)}" if known else "it has none"
    for option in given:
        if option not in known:
            near = nearest(option, known)
            meant = f"; did you mean {near!r}?" if near else "."
            raise ConfigError(f"task {name!r} has no option {option!r}; {has}{meant}")
    lacking = [
        p.name
        for p in parameters
        if p.name in known and p.default is p.empty and p.name not in given
    ]
    if lacking:
        raise ConfigError(
            f"task {name!r} needs the option {lacking[0]!r}, which is not given; write it below "
            f"task_options ({has})."
        )
    return given


def _class_of(name: str) -> Any:
    if name == OWN:
        return OwnData
    if ":" in name:
        return import_function(name, "task")
    from importlib.metadata import entry_points

    return next(iter(entry_points(group=GROUP, name=name))).load()
