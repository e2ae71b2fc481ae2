"""What a comparison left in its folder, held against what is wanted now."""

import inspect
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scgrpo.evaluation.records import Record, read_records

PLACES = ("output_dir", "name")
"""Keys of a run that say where it is kept, not what it is."""
DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "engine": "transformers"}
"""Of `scgrpo evaluate`, as records hold them."""
RECORDED = (
    "seed", "temperature", "top_p", "engine", "task", "task_options", "system_prompt",
    "template_options", "api_model",
)  # fmt: skip
"""Options of an evaluation that every record holds, or that are none."""
RECORDED_IF_ASKED = ("max_new_tokens", "max_turns", "max_episode_tokens")
"""Options for which a task has values of its own."""


@dataclass(frozen=True)
class Found:
    """What a file of records holds of a split."""

    first: Record
    samples: Counter[str]
    """By problem."""


@dataclass(frozen=True)
class Asked:
    """What the records of an evaluation are to be.

    Args:
        name: of the evaluation.
        records: file of them.
        k: samples of each problem.
        flags: options of `scgrpo evaluate`, `limit` for the problems among them.
        model: of the untrained one, which no other file tells.
    """

    name: str
    records: Path
    k: int
    flags: Mapping[str, Any]
    model: str | None = None

    @property
    def note(self) -> Path:
        """File beside the records with what they were asked to be."""
        return self.records.with_suffix(".asked.yaml")

    def write_note(self) -> None:
        """Keep what was asked, once the evaluation is done: a split may have fewer problems."""
        self.note.write_text(yaml.safe_dump(self._content(), sort_keys=False))

    def is_done(self) -> bool:
        """Whether the records are there, with all problems and samples that are asked for."""
        if not self.records.exists():
            return False
        samples = self._found().samples
        counted = len(samples) == self.flags.get("limit")
        enough = bool(samples) and set(samples.values()) == {self.k}
        noted = _read_yaml(self.note) if self.note.exists() else {}
        same = all(noted.get(key) == self._content()[key] for key in ("k", "limit"))
        return enough and (counted or (bool(noted) and same))

    def refuse_others(self) -> None:
        """Refuse records that were drawn otherwise, or more of them than are asked for.

        Raises:
            ValueError: naming what differs, both values and the cure.
        """
        if not self.records.exists():
            return
        found = self._found()
        self._refuse_settings(found.first)
        limit, problems = self.flags.get("limit"), len(found.samples)
        most = max(found.samples.values(), default=0)
        if limit is not None and problems > limit:
            raise ValueError(self._other("problems", problems, limit))
        if most > self.k:
            raise ValueError(self._other("k", most, self.k))

    def _refuse_settings(self, first: Record) -> None:
        wanted = _recorded(self.flags)
        keys = [*RECORDED, *(key for key in RECORDED_IF_ASKED if key in wanted)]
        for key in keys:
            if not same(first.get(key), wanted.get(key)):
                raise ValueError(self._other(key, first.get(key), wanted.get(key)))
        if self.model is not None and first.get("model", self.model) != self.model:
            raise ValueError(self._other("model", first["model"], self.model))
        noted = _recorded(_read_yaml(self.note)) if self.note.exists() else wanted
        for key in RECORDED_IF_ASKED:
            if not same(noted.get(key), wanted.get(key)):
                raise ValueError(self._other(key, noted.get(key), wanted.get(key)))

    def _found(self) -> Found:
        stat = self.records.stat()
        return _summary(self.records, str(self.flags["split"]), stat.st_mtime_ns, stat.st_size)

    def _content(self) -> dict[str, Any]:
        options = {key: value for key, value in self.flags.items() if key != "output"}
        return {"k": self.k, "limit": None, **options}

    def _other(self, key: str, old: Any, new: Any) -> str:
        return (
            f"evaluation {self.name} was made with {key} {_said(old)}, and the comparison asks for "
            f"{_said(new)}; choose another output, or delete {self.records}."
        )


@cache
def _summary(path: Path, split: str, changed: int, size: int) -> Found:
    """Read once for each state of a file."""
    records = [record for record in read_records(path) if record["split"] == split]
    kept = ("model", *RECORDED, *RECORDED_IF_ASKED)
    return Found(
        {key: records[0][key] for key in kept if key in records[0]} if records else {},
        Counter(str(record["problem_id"]) for record in records),
    )


def _recorded(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Options as records hold them: empty mappings left out, turns among the task's options."""
    values = DEFAULTS | {key: value for key, value in flags.items() if value is not None}
    if "max_turns" in values:
        values["task_options"] = {
            **values.get("task_options", {}),
            "max_turns": values["max_turns"],
        }
    return {key: value for key, value in values.items() if value != {}}


def refuse_other_run(name: str, folder: Path, file: Path, wanted: Mapping[str, Any]) -> None:
    """Refuse a run that was begun with another YAML.

    Args:
        name: of the run.
        folder: of the run.
        file: YAML that it was begun with.
        wanted: keys of the YAML that it is to have.

    Raises:
        ValueError: naming run, key, both values and the cure.
    """
    if not (is_begun(folder) and file.exists()):
        return
    found = _read_yaml(file)
    for key in dict.fromkeys([*wanted, *found]):
        if key not in PLACES and not same(found.get(key), wanted.get(key)):
            raise ValueError(
                f"run {name} was made with {key} {_said(found.get(key))}, and the comparison asks "
                f"for {_said(wanted.get(key))}; choose another output, or delete {folder}."
            )


def is_begun(folder: Path) -> bool:
    """Whether a run has made a step; one that failed before is begun anew."""
    metrics, checkpoints = folder / "metrics.jsonl", folder / "checkpoints"
    stepped = metrics.exists() and metrics.stat().st_size > 0
    saved = checkpoints.exists() and any(checkpoints.iterdir())
    return stepped or saved or (folder / "model").exists()


def refuse_other_model(name: str, folder: Path, options: Mapping[str, Any]) -> None:
    """Refuse a model that was built with other options.

    Args:
        name: under `models`.
        folder: of the model.
        options: of `scgrpo build-base`.

    Raises:
        ValueError: naming model, option, both values and the cure.
    """
    file = folder / "recipe.json"
    if not file.exists():
        return
    recipe = json.loads(file.read_text(encoding="utf-8"))
    for key, old, new in _of_recipe(recipe, options):
        if not same(old, new):
            raise ValueError(
                f"model {name} was built with {key} {_said(old)}, and the comparison asks for "
                f"{_said(new)}; choose another output, or delete {folder}."
            )


def _of_recipe(
    recipe: Mapping[str, Any], options: Mapping[str, Any]
) -> Iterable[tuple[str, Any, Any]]:
    """Option, value of the recipe and value that is asked for, defaults included."""
    from scgrpo.embedded.base_model import SUBJECTS, build_base

    task = str(options.get("task", "synthetic"))
    yield "task", recipe.get("name", "synthetic"), task
    subject = SUBJECTS[task]
    defaults = {k: p.default for k, p in inspect.signature(build_base).parameters.items()}
    for key in ("width", "layers", "seed", "steps"):
        default = subject.steps if key == "steps" else defaults[key]
        yield key, recipe["training"][key], options.get(key, default)
    kinds = {"task": subject.options, "corpus": subject.corpus}
    for part, kind in kinds.items():
        wanted = asdict(kind(**options.get(f"{part}_options", {})))
        for key, value in recipe[part].items():
            yield f"{part}_options.{key}", value, wanted.get(key, value)


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same: `1e-6` is text in YAML 1.1, and JSON has no tuples."""
    if one == other:
        return True
    if isinstance(one, str) != isinstance(other, str):
        try:
            return float(one) == float(other)
        except (TypeError, ValueError):
            return False
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(
        other, sort_keys=True, default=str
    )


def _said(value: Any) -> str:
    return "none" if value is None else repr(value)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no mapping of keys to values; delete it.")
    return content
