"""The commands of a comparison, checked before any of them runs."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from scgrpo.comparison.config import Comparison
from scgrpo.comparison.plan import Step, base_steps, build_steps
from scgrpo.mistakes import ConfigError

SET_BY = {
    "evaluate": {
        "model": "rows of tasks and methods set the models",
        "task": "give task in the task's row",
        "task_options": "give options, or evaluation_options for another task, in the task's row",
        "split": "give splits and validation in the task's row",
        "limit": "give the number of problems beside each split",
        "k": "give k at the top of the comparison",
        "seed": "give seed at the top of the comparison",
        "output": "records lie in the folders of the runs",
    },
    "build-base": {"output": "a model lies in the comparison's folder under its name"},
}
"""Options of the commands that a comparison sets itself, and by what."""


def check_commands(comparison: Comparison) -> None:
    """Refuse options that `scgrpo evaluate` and `scgrpo build-base` would refuse.

    Raises:
        ConfigError: naming the option, where it stands, and the cure.
    """
    _check_names("evaluate", comparison.evaluation, "evaluation")
    for step in base_steps(comparison)[:1]:  # the options are the same for all
        _check_evaluation(_parsed(step, "evaluation"))
    for step in build_steps(comparison):
        name = step.name.removeprefix("build ")
        place = f"models {name!r}"
        _check_names("build-base", comparison.models[name], place)
        width = _parsed(step, place)["width"]
        if width % 8:
            raise ConfigError(f"width of {place} is {width}; it must be a multiple of 8.")
        _check_recipe(comparison.models[name], place)


def _command(name: str) -> Any:
    from typer.main import get_command

    from scgrpo.cli.main import app

    return get_command(app).commands[name]  # type: ignore[attr-defined]


def _check_names(command: str, options: Mapping[str, Any], place: str) -> None:
    taken = SET_BY[command]
    known = {str(p.name) for p in _command(command).params} - {*taken, "help"}
    for name in options:
        if name in taken:
            raise ConfigError(f"{name} stands in {place}; take it out there: {taken[name]}.")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            cure = (
                f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}."
            )
            raise ConfigError(f"unknown key {name!r} in {place}; {cure}")


def _parsed(step: Step, place: str) -> dict[str, Any]:
    """Parameters of the command, read as the command itself reads them."""
    command, *arguments = step.arguments
    try:
        parameters: dict[str, Any] = _command(command).make_context(command, arguments).params
    except Exception as error:
        # Typer raises click's errors, or its own copy of them, depending on the version.
        if not hasattr(error, "format_message"):
            raise
        raise ConfigError(f"{place} cannot be: {error.format_message().rstrip('.')}.") from error
    return parameters


def _check_evaluation(parameters: Mapping[str, Any]) -> None:
    from scgrpo.cli.options import read_options
    from scgrpo.evaluation.request import EvaluationRequest

    known = {spec.name for spec in fields(EvaluationRequest)}
    given = {name: value for name, value in parameters.items() if name in known}
    try:
        read_options(EvaluationRequest, given).check()
    except ConfigError as error:
        raise ConfigError(f"evaluation cannot be: {error}") from error


def _check_recipe(options: Mapping[str, Any], place: str) -> None:
    from scgrpo.embedded.base_model import SUBJECTS

    task = options.get("task", "synthetic")
    if task not in SUBJECTS:
        raise ConfigError(
            f"task of {place} is {task!r}; a base can be built for {' or '.join(SUBJECTS)}."
        )
    kinds = {"task_options": SUBJECTS[task].options, "corpus_options": SUBJECTS[task].corpus}
    for key, kind in kinds.items():
        given, known = options.get(key, {}), [spec.name for spec in fields(kind)]
        if not isinstance(given, dict) or set(given) - set(known):
            raise ConfigError(f"{key} of {place} is {given!r}; it may set {', '.join(known)}.")
        kind(**given)
