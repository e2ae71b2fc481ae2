"""What is compared: the keys of a comparison's YAML."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from scgrpo.comparison.checks import check
from scgrpo.comparison.kinds import fitted

Keys = TypeVar("Keys")


@dataclass(frozen=True)
class TaskRow:
    """A task on which every method is run."""

    name: str
    task: str = "synthetic"
    """Name of the task for training and evaluation."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the task."""
    model: str = "tiny"
    """Model that training starts from: hub id, folder, `tiny`, or a name under `models`."""
    splits: dict[str, int | None] = field(default_factory=lambda: {"heldout": 256, "ood": 256})
    """Splits that are reported, and the problems of each (null for all); `aime24/test` is one of
    another task."""
    validation: dict[str, int | None] = field(default_factory=lambda: {"validation": 128})
    """Split, and its problems, on which learning rates are chosen; none of the reported ones."""
    evaluation_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Options of the other tasks that splits are of, by task."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of the runs on this task."""
    axis: dict[str, float] = field(default_factory=dict)
    """Where the task lies on the axes of the experiment, for the figure of gains."""


@dataclass(frozen=True)
class MethodRow:
    """A method: a preset, and what is set beside it."""

    name: str
    preset: str = ""
    """Name of a preset; the row's own name by default."""
    seeds: int | list[int] = 3
    """Number of seeds (0, 1, ...) or the seeds themselves."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of this method's runs."""
    learning_rate: float | None = None
    """A fixed learning rate, for a method that is not swept."""
    learning_rate_of: str | None = None
    """The method whose learning rate this one takes, for an ablation of it."""
    group: str = "methods"
    """Rows of one group stand together."""
    tasks: list[str] | None = None
    """Names of the tasks on which it is run; all by default."""

    @property
    def seed_list(self) -> list[int]:
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    def is_run_on(self, task: TaskRow) -> bool:
        """Whether it is one of the methods that are run on a task."""
        return self.tasks is None or task.name in self.tasks


@dataclass(frozen=True)
class Sweep:
    """How each method gets its own learning rate, with the same budget for all."""

    learning_rates: list[float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [100])
    """Seeds of the sweep, which are none of the reported ones."""


@dataclass(frozen=True)
class Comparison:
    """Methods x seeds x tasks."""

    methods: dict[str, MethodRow]
    tasks: dict[str, TaskRow]
    name: str = "comparison"
    output: str = "runs/comparison"
    settings: dict[str, Any] = field(default_factory=dict)
    """Keys of every run."""
    sweep: Sweep = field(default_factory=Sweep)
    baseline: str = "grpo"
    """Method to which differences are taken."""
    k: int = 8
    seed: int = 1234
    """Seed of the evaluations."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """Further options of `scgrpo evaluate`, such as engine, max_new_tokens or batch_tokens."""
    launcher: str = ""
    """What trains in place of one Python process, such as `accelerate launch --config_file f`."""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Models built first by `scgrpo build-base`: its options by name."""

    @property
    def folder(self) -> Path:
        return Path(self.output)

    def settings_of(self, task: TaskRow, method: MethodRow) -> dict[str, Any]:
        """Keys of a method's runs on a task, as far as they are set here."""
        return self.settings | task.settings | method.settings

    def given_rate(self, task: TaskRow, method: MethodRow) -> float | None:
        """The learning rate that is written down for a method on a task.

        None where it is another method's, or where a sweep chooses it.
        """
        if method.learning_rate is not None:
            return float(method.learning_rate)
        if method.learning_rate_of is not None:
            return None
        given = self.settings_of(task, method).get("learning_rate")
        if given is None and len(self.sweep.learning_rates) == 1:
            given = self.sweep.learning_rates[0]
        return None if given is None else float(given)

    def is_swept(self, task: TaskRow, method: MethodRow) -> bool:
        """Whether a method's learning rate on a task comes from its own sweep."""
        own = method.learning_rate_of is None and self.given_rate(task, method) is None
        return own and bool(self.sweep.learning_rates)


def load_comparison(path: Path) -> Comparison:
    """Read and check a comparison.

    Raises:
        ValueError: for a file, key, name or number that cannot be.
    """
    if not path.is_file():
        raise ValueError(f"comparison {path} does not exist; check the path.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no valid YAML: {error}".replace("\n", " ")) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no mapping of keys to values.")
    values = dict(content)
    values["methods"] = _rows(MethodRow, values.get("methods"), "methods", path)
    values["tasks"] = _rows(TaskRow, values.get("tasks"), "tasks", path)
    if isinstance(values.get("sweep"), dict):
        values["sweep"] = _build(Sweep, values["sweep"], f"sweep of {path}")
    comparison = _build(Comparison, values, str(path))
    check(comparison)
    return comparison


def _rows(kind: type[Keys], rows: Any, what: str, path: Path) -> dict[str, Keys]:
    if not isinstance(rows, dict) or not rows:
        raise ValueError(f"{path} names no {what}; write {what}: with a mapping of names.")
    found = {}
    for name, keys in rows.items():
        place = f"{what} {name!r} of {path}"
        if not isinstance(keys, dict | None):
            raise ValueError(f"{place} is {keys!r}; write a mapping of keys, or nothing.")
        found[str(name)] = _build(kind, {"name": str(name), **(keys or {})}, place)
    return found


def _build(kind: type[Keys], values: Mapping[str, Any], place: str) -> Keys:
    known = [spec.name for spec in fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise ValueError(f"unknown key {name!r} in {place}; {cure}")
    return kind(**fitted(kind, values, place))
