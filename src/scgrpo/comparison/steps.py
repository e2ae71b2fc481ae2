"""The steps of a comparison: `scgrpo` commands that know what is asked of them and if it is done.

Of each, `check` raises ValueError for what could not work, and `refuse_others` for what is in the
folder but was made otherwise; they name the step or file, the key, the value and the cure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scgrpo.comparison.config import BASE, Comparison, MethodRow, TaskRow
from scgrpo.comparison.jobs import Job
from scgrpo.embedded.base_model import dials
from scgrpo.embedded.kept import refuse_other_base
from scgrpo.embedded.request import BaseRequest
from scgrpo.evaluation.kept import kept_records, refuse_other_records
from scgrpo.evaluation.prepare import find_task
from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.files import write_atomically
from scgrpo.runs.check import check_run
from scgrpo.runs.config_reader import build, read_mapping_file, run_config_of
from scgrpo.runs.resuming import refuse_other_run
from scgrpo.runs.run_config import RunConfig
from scgrpo.runs.run_folder import RunFolder
from scgrpo.tasks.base import check_split

NAMED = ("model", "teacher_model")
"""Keys of a run that may name a model that is built."""


@dataclass(frozen=True)
class Build:
    """A model that is built."""

    comparison: Comparison
    model: str

    @property
    def name(self) -> str:
        return f"build {self.model}"

    @property
    def request(self) -> BaseRequest:
        options = {"output": Path(self.comparison.path_of(self.model))}
        return build(BaseRequest, options | self.options, f"models {self.model!r}")

    @property
    def options(self) -> dict[str, Any]:
        return self.comparison.models[self.model]

    def check(self) -> None:
        dials(self.request)

    def refuse_others(self) -> None:
        if self.is_done():
            refuse_other_base(self.request)

    def is_done(self) -> bool:
        return (self.request.output / "recipe.json").exists()

    def job(self) -> Job:
        command = ["build-base", self.comparison.path_of(self.model), *_flags(self.options)]
        return Job(self.name, command, self.comparison.log(self.name))


@dataclass(frozen=True)
class Training:
    """One method on one task with one seed and learning rate."""

    comparison: Comparison
    task: TaskRow
    method: MethodRow
    seed: int
    learning_rate: float
    splits: Mapping[str, int | None]
    """On which it is evaluated, and the problems of each."""

    @property
    def label(self) -> str:
        return f"{self.task.name}/{self.method.name}/lr{self.learning_rate:g}-s{self.seed}"

    @property
    def name(self) -> str:
        return f"train {self.label}"

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.comparison.folder / self.label)

    @property
    def file(self) -> Path:
        """YAML from which the run is read."""
        return self.folder.path.with_name(f"{self.folder.path.name}.yaml")

    @property
    def values(self) -> dict[str, Any]:
        """Keys of the run's YAML; name and folder say its seed and learning rate."""
        comparison, path = self.comparison, self.folder.path
        settings = {"model": self.task.model} | comparison.settings_of(self.task, self.method)
        return {
            "preset": self.method.preset or self.method.name,
            "task": self.task.task,
            "task_options": self.task.options,
            "output_dir": str(path.parent),
            "name": path.name,
            **{k: comparison.path_of(v) if k in NAMED else v for k, v in settings.items()},
            "seed": self.seed,
            "learning_rate": self.learning_rate,
        }

    @property
    def config(self) -> RunConfig:
        return run_config_of(self.values, f"run {self.label}")

    @property
    def after(self) -> list[str]:
        return self.comparison.builds_of([self.values.get(key) for key in NAMED])

    @property
    def evaluations(self) -> "list[Evaluation]":
        return [Evaluation(self.comparison, self.task, self, *s) for s in self.splits.items()]

    def check(self) -> None:
        check_run(self.config)

    def refuse_others(self) -> None:
        if self.folder.is_begun:
            refuse_other_run(self.config, self.folder)

    def is_done(self) -> bool:
        return (self.folder.model / "config.json").exists()

    def job(self) -> Job:
        write_atomically(self.file, yaml.safe_dump(self.values, sort_keys=False))
        command = ["train", "--config", str(self.file)]
        log, launcher = self.comparison.log(self.label), self.comparison.launcher
        return Job(self.name, command, log, self.after, launcher)


@dataclass(frozen=True)
class Evaluation:
    """Samples of a model on a split of a task."""

    comparison: Comparison
    task: TaskRow
    run: Training | None
    """None for the untrained model."""
    split: str
    """Of the task, or `task/split` of another."""
    problems: int | None

    @property
    def label(self) -> str:
        return self.run.label if self.run else f"{self.task.name}/{BASE}"

    @property
    def name(self) -> str:
        return f"evaluate {self.label}/{self.split}"

    @property
    def records(self) -> Path:
        name = f"{self.split.replace('/', '_')}.jsonl"
        return self.comparison.folder / self.label / "records" / name

    @property
    def note(self) -> Path:
        """File beside the records with what was asked when they were done."""
        return self.records.with_suffix(".asked.yaml")

    @property
    def values(self) -> dict[str, Any]:
        """What is asked for, by the names of `EvaluationRequest`."""
        comparison, task = self.comparison, self.task
        other, _, split = self.split.rpartition("/")
        return {
            "model": str(self.run.folder.path) if self.run else comparison.path_of(task.model),
            "k": comparison.k,
            "task": other or task.task,
            "task_options": task.evaluation_options.get(other, {}) if other else task.options,
            "split": split,
            "limit": self.problems,
            "seed": comparison.seed,
            "output": str(self.records),
            **comparison.evaluation,
        }

    @property
    def request(self) -> EvaluationRequest:
        return build(EvaluationRequest, self.values, "evaluation")

    @property
    def after(self) -> list[str]:
        made = self.comparison.builds_of([self.values["model"]])
        return [self.run.name] if self.run else made

    def check(self) -> None:
        request = self.request
        request.check()
        check_split(find_task(request.task, request.options_of_task), str(request.split))

    def refuse_others(self) -> None:
        if self.records.exists():
            # The folder of a run may have moved.
            refuse_other_records(self.records, self.request, moved=self.run is not None)

    def is_done(self) -> bool:
        """Whether the records are there, with all problems and samples that are asked for."""
        if not self.records.exists():
            return False
        problems, k = kept_records(self.records).rewards_PK.shape
        # A split may have fewer problems than are asked for.
        noted = read_mapping_file(self.note, "note") if self.note.exists() else {}
        whole = (noted.get("k"), noted.get("limit", 0)) == (k, self.problems)
        return k == self.comparison.k and (problems == self.problems or whole)

    def write_note(self) -> None:
        write_atomically(self.note, yaml.safe_dump(self.values, sort_keys=False))

    def job(self) -> Job:
        asked = self.values
        command = ["evaluate", asked.pop("model"), "-k", str(asked.pop("k")), *_flags(asked)]
        log = self.comparison.log(self.name)
        return Job(self.name, command, log, self.after, done=self.write_note)


def _flags(values: Mapping[str, Any]) -> list[str]:
    """`--key=value` for each, mappings as JSON, null left out."""
    said = {key: json.dumps(v) if isinstance(v, dict) else v for key, v in values.items()}
    return [f"--{key.replace('_', '-')}={v}" for key, v in said.items() if v is not None]
