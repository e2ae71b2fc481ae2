"""What a comparison cannot be, said in one sentence before anything is computed."""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scgrpo.presets import PRESETS

if TYPE_CHECKING:
    from scgrpo.comparison.config import Comparison, MethodRow, TaskRow

TAKEN = {
    "seed": "give seeds in the method's row",
    "name": "a run is named after its task, method, learning rate and seed",
    "output_dir": "give output at the top of the comparison",
    "preset": "give preset in the method's row",
    "task": "give task in the task's row",
    "task_options": "give options in the task's row",
    "trainer": "write the keys under it beside the others",
}
"""Keys of a run that `settings` must not have, and what sets them."""


def check(comparison: "Comparison") -> None:
    """Refuse names, numbers and rows that cannot be.

    Raises:
        ValueError: naming the value, its place and the cure.
    """
    _check_names(comparison)
    _check_numbers(comparison)
    _check_settings(comparison)
    for method in comparison.methods.values():
        _check_method(comparison, method)
    if comparison.baseline not in comparison.methods:
        raise ValueError(
            f"baseline is {comparison.baseline!r}, which is none of the methods "
            f"({', '.join(comparison.methods)})."
        )
    for task in comparison.tasks.values():
        _check_task(comparison, task)


def _check_names(comparison: "Comparison") -> None:
    """Names are folders, beside others that the comparison makes."""
    taken = {"method": ("base",), "task": ("logs", "models"), "model": ()}
    rows = {"method": comparison.methods, "task": comparison.tasks, "model": comparison.models}
    for what, names in rows.items():
        for name in names:
            if name in taken[what]:
                raise ValueError(
                    f"a {what} cannot be called {name!r}, which is a folder of the comparison's "
                    "own; choose another name."
                )
            if not name or "/" in name or name.startswith("."):
                raise ValueError(
                    f"a {what} cannot be called {name!r}, since its folder is; choose a name "
                    "without / that does not begin with a dot."
                )


def _check_numbers(comparison: "Comparison") -> None:
    if comparison.k < 1:
        raise ValueError(f"k is {comparison.k}; give the samples of each problem, at least 1.")
    sweep = comparison.sweep
    if len(sweep.learning_rates) > 1 and not sweep.seeds:
        raise ValueError("the sweep has no seeds; name at least one under sweep.")
    _check_distinct(sweep.seeds, "seeds of the sweep")
    _check_distinct(sweep.learning_rates, "learning_rates of the sweep")


def _check_distinct(values: Sequence[Any], what: str) -> None:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{what} are {list(values)}; name {twice[0]} once.")


def _check_method(comparison: "Comparison", row: "MethodRow") -> None:
    preset = row.preset or row.name
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"method {row.name!r} has no preset {preset!r}; {meant}set preset to one of "
            f"{', '.join(PRESETS)}."
        )
    if not row.seed_list:
        raise ValueError(f"method {row.name!r} has no seeds; give a number above 0.")
    _check_distinct(row.seed_list, f"seeds of method {row.name!r}")
    if row.tasks == []:
        raise ValueError(f"method {row.name!r} is run on no task; name one, or leave tasks out.")
    for name in row.tasks or ():
        if name not in comparison.tasks:
            raise ValueError(
                f"method {row.name!r} is run on task {name!r}, which is none of the tasks "
                f"({', '.join(comparison.tasks)})."
            )
    if row.learning_rate_of is not None:
        _check_parent(comparison, row)
    for task in filter(row.is_run_on, comparison.tasks.values()):
        known = row.learning_rate_of or comparison.given_rate(task, row)
        if not known and not comparison.is_swept(task, row):
            raise ValueError(
                f"method {row.name!r} has no learning rate on task {task.name!r}; declare a "
                "sweep, or set learning_rate."
            )


def _check_parent(comparison: "Comparison", row: "MethodRow") -> None:
    takes = f"method {row.name!r} takes the learning rate of {row.learning_rate_of!r}, which"
    parent = comparison.methods.get(str(row.learning_rate_of))
    if parent is None:
        raise ValueError(f"{takes} is none of the methods ({', '.join(comparison.methods)}).")
    if parent.learning_rate_of:
        raise ValueError(f"{takes} takes that of another; name the method whose own it is.")
    for task in filter(row.is_run_on, comparison.tasks.values()):
        if comparison.is_swept(task, parent) and not parent.is_run_on(task):
            raise ValueError(
                f"{takes} is not run on task {task.name!r}, so that no sweep chooses it there; "
                f"add the task to the tasks of {parent.name!r}, or set learning_rate."
            )


def _check_task(comparison: "Comparison", task: "TaskRow") -> None:
    both = set(task.splits) & set(task.validation)
    if both:
        raise ValueError(
            f"task {task.name!r} chooses learning rates on {', '.join(both)}, which it also "
            "reports; validate on another split."
        )
    if not task.splits:
        raise ValueError(f"task {task.name!r} reports no splits; name one under splits.")
    for name, problems in {**task.splits, **task.validation}.items():
        if problems is not None and problems < 1:
            raise ValueError(
                f"task {task.name!r} has {problems} problems of {name}; give a number above 0, or "
                "null for all."
            )
    swept = [
        row.name
        for row in filter(lambda row: row.is_run_on(task), comparison.methods.values())
        if comparison.is_swept(task, row)
    ]
    if swept and not task.validation:
        raise ValueError(
            f"task {task.name!r} has no validation split on which the sweep could choose the "
            f"learning rate of {swept[0]}; name one under validation, or set learning_rate."
        )


def _check_settings(comparison: "Comparison") -> None:
    places = {"settings": comparison.settings}
    places |= {f"settings of task {n!r}": row.settings for n, row in comparison.tasks.items()}
    places |= {f"settings of method {n!r}": row.settings for n, row in comparison.methods.items()}
    for place, settings in places.items():
        for key in filter(TAKEN.__contains__, settings):
            raise ValueError(f"{key} stands in {place}; take it out there: {TAKEN[key]}.")
        if "learning_rate" in settings:
            _check_rate(settings["learning_rate"], f"learning_rate in {place}")
    for row in comparison.methods.values():
        _check_rate(row.learning_rate, f"learning_rate of method {row.name!r}", optional=True)
        given = {
            "learning_rate": row.learning_rate,
            "learning_rate_of": row.learning_rate_of,
            "settings.learning_rate": row.settings.get("learning_rate"),
        }
        both = [key for key, value in given.items() if value is not None]
        if len(both) > 1:
            raise ValueError(f"method {row.name!r} has {' and '.join(both)}; keep one of them.")
    for rate in comparison.sweep.learning_rates:
        _check_rate(rate, "a learning rate of the sweep")


def _check_rate(value: Any, what: str, *, optional: bool = False) -> None:
    if optional and value is None:
        return
    try:
        rate = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        rate = -1.0
    if not 0 < rate < float("inf"):
        raise ValueError(f"{what} is {value!r}; it must be a number above 0, such as 1.0e-6.")
