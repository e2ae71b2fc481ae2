"""From a comparison's YAML to what is compared, and what cannot be, said before anything runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from scgrpo.comparison.config import Comparison, MethodRow, Sweep, TaskRow
from scgrpo.mistakes import ConfigError
from scgrpo.runs.config_reader import build, read_mapping_file, run_config_of

Keys = TypeVar("Keys")

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


def load_comparison(path: Path) -> Comparison:
    """Read a comparison and refuse names, numbers and rows that cannot be.

    What is a matter of a run, an evaluation or a model is checked by `plan.check`.

    Raises:
        ConfigError: naming the value, its place and the cure.
    """
    values = read_mapping_file(path, "comparison")
    rows = {"methods": MethodRow, "tasks": TaskRow}
    values |= {what: _rows(kind, values.get(what), what, path) for what, kind in rows.items()}
    if isinstance(values.get("sweep"), dict):
        values["sweep"] = build(Sweep, values["sweep"], f"sweep of {path}")
    comparison = build(Comparison, values, str(path))
    for complaint in _complaints(comparison):
        raise ConfigError(complaint)
    return comparison


def _rows(kind: type[Keys], rows: Any, what: str, path: Path) -> dict[str, Keys]:
    if not isinstance(rows, dict) or not rows:
        raise ConfigError(f"{path} names no {what}; write {what}: with a mapping of names.")
    found = {}
    for name, keys in rows.items():
        place = f"{what} {name!r} of {path}"
        if not isinstance(keys, dict | None):
            raise ConfigError(f"{place} is {keys!r}; write a mapping of keys, or nothing.")
        found[str(name)] = build(kind, {"name": str(name), **(keys or {})}, place)
    return found


def _complaints(comparison: Comparison) -> Iterator[str]:
    yield from _of_names(comparison)
    yield from _of_settings(comparison)
    if comparison.k < 1:
        yield f"k is {comparison.k}; give the samples of each problem, at least 1."
    yield from _of_sweep(comparison)
    for method in comparison.methods.values():
        yield from _of_method(comparison, method)
    if comparison.baseline not in comparison.methods:
        yield f"baseline is {_none_of(comparison.baseline, 'methods', comparison.methods)}"
    for task in comparison.tasks.values():
        yield from _of_task(comparison, task)


def _of_names(comparison: Comparison) -> Iterator[str]:
    """Names are folders, beside others that the comparison makes."""
    for what, names, taken in (
        ("method", comparison.methods, {"base"}),
        ("task", comparison.tasks, {"logs", "models"}),
        ("model", comparison.models, set[str]()),
    ):
        for name in names:
            refused = f"a {what} cannot be called {name!r}, "
            if name in taken:
                yield f"{refused}which is a folder of the comparison's own; choose another name."
            if not name or "/" in name or name.startswith("."):
                yield (
                    f"{refused}since its folder is; choose a name without / that does not begin "
                    "with a dot."
                )


def _of_settings(comparison: Comparison) -> Iterator[str]:
    rows = [*comparison.tasks.items(), *comparison.methods.items()]
    places = {"settings": comparison.settings}
    places |= {f"settings of {row.what} {name!r}": row.settings for name, row in rows}
    for place, settings in places.items():
        for key in filter(TAKEN.__contains__, settings):
            yield f"{key} stands in {place}; take it out there: {TAKEN[key]}."
        run_config_of(settings, place)


def _of_sweep(comparison: Comparison) -> Iterator[str]:
    sweep = comparison.sweep
    if len(sweep.learning_rates) > 1 and not sweep.seeds:
        yield "the sweep has no seeds; name at least one under sweep."
    yield from _twice(sweep.seeds, "seeds of the sweep")
    yield from _twice(sweep.learning_rates, "learning_rates of the sweep")


def _of_method(comparison: Comparison, row: MethodRow) -> Iterator[str]:
    said = f"method {row.name!r}"
    if not row.seed_list:
        yield f"{said} has no seeds; give a number above 0."
    yield from _twice(row.seed_list, f"seeds of {said}")
    if row.tasks == []:
        yield f"{said} is run on no task; name one, or leave tasks out."
    for name in row.tasks or ():
        if name not in comparison.tasks:
            yield f"{said} is run on task {_none_of(name, 'tasks', comparison.tasks)}"
    given = {
        "learning_rate": row.learning_rate,
        "learning_rate_of": row.learning_rate_of,
        "settings.learning_rate": row.settings.get("learning_rate"),
    }
    both = [key for key, value in given.items() if value is not None]
    if len(both) > 1:
        yield f"{said} has {' and '.join(both)}; keep one of them."
    if row.learning_rate_of is not None:
        yield from _of_owner(comparison, row, row.learning_rate_of)
    for task in filter(row.is_run_on, comparison.tasks.values()):
        rates = comparison.rates(task, row)
        if not rates:
            yield (
                f"{said} has no learning rate on task {task.name!r}; declare a sweep, or set "
                "learning_rate."
            )
        for rate in rates:
            if not 0 < rate < float("inf"):
                yield (
                    f"a learning rate of {said} on task {task.name!r} is {rate}; it must be a "
                    "number above 0, such as 1.0e-6."
                )


def _of_owner(comparison: Comparison, row: MethodRow, name: str) -> Iterator[str]:
    takes = f"method {row.name!r} takes the learning rate of"
    if name not in comparison.methods:
        yield f"{takes} {_none_of(name, 'methods', comparison.methods)}"
    owner = comparison.methods[name]
    if owner.learning_rate_of:
        yield (
            f"{takes} {name!r}, which takes that of another; name the method whose own it is."
        )
    for task in filter(row.is_run_on, comparison.tasks.values()):
        if len(comparison.rates(task, owner)) > 1 and not owner.is_run_on(task):
            yield (
                f"{takes} {name!r}, which is not run on task {task.name!r}, so that no sweep "
                f"chooses it there; add the task to the tasks of {name!r}, or set learning_rate."
            )


def _of_task(comparison: Comparison, task: TaskRow) -> Iterator[str]:
    said = f"task {task.name!r}"
    both = set(task.splits) & set(task.validation)
    if both:
        yield (
            f"{said} chooses learning rates on {', '.join(both)}, which it also reports; validate "
            "on another split."
        )
    if not task.splits:
        yield f"{said} reports no splits; name one under splits."
    for name, problems in {**task.splits, **task.validation}.items():
        if problems is not None and problems < 1:
            yield f"{said} has {problems} problems of {name}; give a number above 0, or null for all."
    for row in comparison.methods.values():
        swept = row.is_run_on(task) and len(comparison.rates(task, row)) > 1
        if swept and not task.validation:
            yield (
                f"{said} has no validation split on which the sweep could choose the learning rate "
                f"of {row.name}; name one under validation, or set learning_rate."
            )


def _none_of(name: str, what: str, known: Sequence[str] | dict[str, Any]) -> str:
    return f"{name!r}, which is none of the {what} ({', '.join(known)})."


def _twice(values: Sequence[Any], what: str) -> Iterator[str]:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        yield f"{what} are {list(values)}; name {twice[0]} once."
