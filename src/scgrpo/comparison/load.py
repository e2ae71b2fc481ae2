"""From a comparison's YAML to what is compared, and what cannot be, said before anything runs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from scgrpo.comparison.config import BASE, Comparison, MethodRow, TaskRow
from scgrpo.mistakes import ConfigError
from scgrpo.runs.config_reader import all_keys, build, run_config_of, unknown_key
from scgrpo.tasks import DEFAULT_TASK
from scgrpo.tasks.own import HELD_OUT
from scgrpo.written.mappings import read_mapping_file
from scgrpo.written.plain import plain_keys

OF_RUNS = ("seed", "name", "output_dir", "preset", "task", "task_options", "trainer")
OF_EVALUATIONS = ("model", "task", "task_options", "split", "limit", "k", "seed", "output")
"""Keys that `settings` and `evaluation` must not have, since a comparison sets them itself."""

SEEDS = "seeds"
"""At the top: those of every method that names none."""


def load_comparison(path: Path) -> Comparison:
    """Read a comparison and refuse names, numbers and rows that cannot be.

    What is a matter of a run, an evaluation or a model is left to `plan.check`.

    Raises:
        ConfigError: naming the value, its place and the cure.
    """
    written = _spread(read_mapping_file(path, "comparison"), str(path))
    comparison = build(Comparison, written, str(path))
    for complaint in _complaints(comparison):
        raise ConfigError(complaint)
    return comparison


def _spread(values: dict[str, Any], place: str) -> dict[str, Any]:
    """The short form written out: keys of runs at the top, a list of methods, no tasks."""
    own, values = [spec.name for spec in fields(Comparison)], plain_keys(values)
    if SEEDS in values:
        values["methods"] = _with_seeds(values.get("methods"), values.pop(SEEDS))
    of_runs = {key: value for key, value in values.items() if key not in own}
    for key in of_runs:
        if key not in (keys := all_keys()):
            known = f"known are {', '.join(own)}, and every key of a run."
            raise unknown_key(key, place, [*own, SEEDS, *keys], known)
    values = {key: value for key, value in values.items() if key in own}
    if of_runs and isinstance(values.get("settings", {}), dict):
        values["settings"] = of_runs | values.get("settings", {})
    dataset = of_runs.get("dataset")
    row = {"splits": {HELD_OUT: None}, "validation": {}} if dataset else {}
    task = Path(str(dataset)).stem if dataset else DEFAULT_TASK
    return {"methods": None, "tasks": {task: row}} | values


def _with_seeds(methods: Any, seeds: Any) -> Any:
    """The methods, each with these seeds where it names none; what is no mapping as it is."""
    rows = dict.fromkeys(methods) if isinstance(methods, list) else methods
    if not isinstance(rows, dict):
        return methods
    return {
        name: {SEEDS: seeds} | (row or {}) if isinstance(row, dict | None) else row
        for name, row in rows.items()
    }


def _complaints(comparison: Comparison) -> Iterator[str]:
    methods, tasks, sweep = comparison.methods, comparison.tasks, comparison.sweep
    yield from _of_names("method", methods, (BASE,))
    yield from _of_names("task", tasks, ("logs", "models"))
    yield from _of_names("model", comparison.models, ())
    places = {"settings": comparison.settings}
    places |= {f"settings of task {name!r}": row.settings for name, row in tasks.items()}
    places |= {f"settings of method {name!r}": row.settings for name, row in methods.items()}
    for place, settings in places.items():
        yield from _taken(settings, OF_RUNS, place)
        run_config_of(settings, place)
    yield from _taken(comparison.evaluation, OF_EVALUATIONS, "evaluation")
    yield from _twice(sweep.seeds, "seeds of the sweep")
    yield from _twice(sweep.learning_rates, "learning_rates of the sweep")
    if len(sweep.learning_rates) > 1 and not sweep.seeds:
        yield "the sweep has no seeds; name at least one under sweep."
    for method in methods.values():
        yield from _of_method(comparison, method, f"method {method.name!r}")
    yield from _none_of("baseline is", comparison.baseline, "methods", methods)
    for name, task in tasks.items():
        if not task.splits:
            yield f"task {name!r} reports no splits; name one under splits."
        if both := ", ".join(set(task.splits) & set(task.validation)):
            yield f"task {name!r} chooses learning rates on {both}, which it reports; take others."
    for task, method in comparison.pairs:
        yield from _of_rates(comparison, task, method)


def _of_names(what: str, names: Iterable[str], own: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name in own or not name or "/" in name or name.startswith("."):
            yield (
                f"a {what} cannot be called {name!r}, which is a folder of the comparison's own, "
                "or none beside it; choose a name without / that does not begin with a dot."
            )


def _taken(settings: Iterable[str], taken: Sequence[str], place: str) -> Iterator[str]:
    for key in filter(taken.__contains__, settings):
        yield f"{key} stands in {place}; take it out there (docs/compare.md says what sets it)."


def _of_method(comparison: Comparison, row: MethodRow, said: str) -> Iterator[str]:
    if not row.seed_list:
        yield f"{said} has no seeds; give a number above 0."
    yield from _twice(row.seed_list, f"seeds of {said}")
    if row.tasks == []:
        yield f"{said} is run on no task; name one, or leave tasks out."
    for name in row.tasks or ():
        yield from _none_of(f"{said} is run on task", name, "tasks", comparison.tasks)
    given = {
        "learning_rate": row.learning_rate,
        "learning_rate_of": row.learning_rate_of,
        "settings.learning_rate": row.settings.get("learning_rate"),
    }
    both = [key for key, value in given.items() if value is not None]
    if len(both) > 1:
        yield f"{said} has {' and '.join(both)}; keep one of them."
    owner, takes = row.learning_rate_of or row.name, f"{said} takes the learning rate of"
    yield from _none_of(takes, owner, "methods", comparison.methods)
    if owner != row.name and comparison.methods[owner].learning_rate_of:
        yield f"{takes} {owner!r}, which takes that of another; name the method whose own it is."


def _of_rates(comparison: Comparison, task: TaskRow, row: MethodRow) -> Iterator[str]:
    swept, owner = len(comparison.rates(task, row)) > 1, comparison.owner(row)
    said, cure = f"method {row.name!r} on task {task.name!r}", "or set learning_rate."
    if swept and not owner.is_run_on(task):
        yield (
            f"{said} takes the learning rate of {owner.name!r}, which is not run there, so that no "
            f"sweep chooses it; add the task to the tasks of {owner.name!r}, {cure}"
        )
    if swept and not task.validation:
        yield f"{said} is swept without a validation split; name one under validation, {cure}"


def _none_of(said: str, name: str, what: str, known: Iterable[str]) -> Iterator[str]:
    if name not in known:
        yield f"{said} {name!r}, which is none of the {what} ({', '.join(known)})."


def _twice(values: Sequence[Any], what: str) -> Iterator[str]:
    if twice := [value for place, value in enumerate(values) if value in values[:place]]:
        yield f"{what} are {list(values)}; name {twice[0]} once."
