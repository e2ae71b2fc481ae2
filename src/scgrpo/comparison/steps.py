"""The steps of a comparison: `scgrpo` commands that know what is asked of them and if it is done.

Of each, `check` raises ValueError for what could not work, and `refuse_others` for what is in the
folder but was made otherwise; they name the step or file, the key, the value and the cure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scgrpo.comparison.config import BASE, Comparison, MethodRow, TaskRow
from scgrpo.embedded.base_model import dials
from scgrpo.embedded.kept import refuse_other_base
from scgrpo.embedded.request import BaseRequest
from scgrpo.evaluation.kept import is_whole, refuse_other_records
from scgrpo.evaluation.prepare import find_task
from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.files import write_atomically
from scgrpo.jobs import Job, flags
from scgrpo.run_folder import RunFolder
from scgrpo.runs.check import check_run
from scgrpo.runs.config_reader import build, run_config_of
from scgrpo.runs.models import as_in_training, as_would_train
from scgrpo.runs.resuming import refuse_other_run
from scgrpo.runs.run_config import RunConfig
from scgrpo.tasks.base import check_split

NAMED = ("model", "teacher_model")
"""Keys of a run that may name a model that is built."""


class Build:
    """A model that is built."""

    def __init__(self, comparison: Comparison, model: str) -> None:
        self.name, self.place = f"build {model}", f"models {model!r}"
        self.options, self.folder = comparison.models[model], Path(comparison.path_of(model))
        self.log = comparison.log(self.name)

    def check(self) -> None:
        dials(self._request())

    def refuse_others(self) -> None:
        if self.is_done():
            refuse_other_base(self._request())

    def is_done(self) -> bool:
        return (self.folder / "recipe.json").exists()

    def job(self) -> Job:
        return Job(self.name, ["build-base", str(self.folder), *flags(self.options)], self.log)

    def _request(self) -> BaseRequest:
        return build(BaseRequest, {"output": self.folder, **self.options}, self.place)


@dataclass(eq=False)
class Training:
    """One method on one task with one seed and learning rate."""

    comparison: Comparison
    task: TaskRow
    method: MethodRow
    seed: int
    learning_rate: float | None
    """None for the runs' own default."""
    splits: Mapping[str, int | None]
    """On which it is evaluated, and the problems of each."""

    def __post_init__(self) -> None:
        comparison, task, method = self.comparison, self.task, self.method
        rate = "" if self.learning_rate is None else f"lr{self.learning_rate:g}-"
        self.label = f"{task.name}/{method.name}/{rate}s{self.seed}"
        self.name = f"train {self.label}"
        path = comparison.folder / self.label
        self.folder = RunFolder(path)
        self.file = path.with_name(f"{path.name}.yaml")
        settings = {"model": task.model} | comparison.settings_of(task, method)
        subject = {} if "dataset" in settings else {"task": task.task, "task_options": task.options}
        self.values: dict[str, Any] = {
            "preset": method.preset or method.name,
            **subject,
            "output_dir": str(path.parent),
            "name": path.name,
            **{k: comparison.path_of(v) if k in NAMED else v for k, v in settings.items()},
            # What the run's name says.
            "seed": self.seed,
            **({} if self.learning_rate is None else {"learning_rate": self.learning_rate}),
        }
        self.after = comparison.builds_of([self.values.get(key) for key in NAMED])
        self.evaluations = [Evaluation(comparison, task, self, *s) for s in self.splits.items()]

    def check(self) -> None:
        check_run(self.config())

    def config(self) -> RunConfig:
        return run_config_of(self.values, f"run {self.label}")

    def refuse_others(self) -> None:
        if self.folder.is_begun:
            refuse_other_run(self.config(), self.folder, compared=True)

    def is_done(self) -> bool:
        return self.folder.is_finished

    def job(self) -> Job:
        write_atomically(self.file, yaml.safe_dump(self.values, sort_keys=False))
        command, comparison = ["train", "--config", str(self.file)], self.comparison
        return Job(self.name, command, comparison.log(self.label), self.after, comparison.launcher)


@dataclass(eq=False)
class Evaluation:
    """Samples of a model on a split of a task."""

    comparison: Comparison
    task: TaskRow
    run: Training | None
    """That trained the model; None for the untrained one."""
    split: str
    """Of the task, or `task/split` of another."""
    problems: int | None

    def __post_init__(self) -> None:
        comparison, task, run = self.comparison, self.task, self.run
        self.label = run.label if run else f"{task.name}/{BASE}"
        self.name = f"evaluate {self.label}/{self.split}"
        kept = comparison.folder / self.label / "records" / self.split.replace("/", "_")
        self.records, self.note = Path(f"{kept}.jsonl"), Path(f"{kept}.asked.yaml")
        other, _, split = self.split.rpartition("/")
        asked = run.values if run else {"model": task.model} | comparison.settings | task.settings
        model = str(run.folder.path) if run else comparison.path_of(asked["model"])
        own = {"task": task.task, "task_options": task.options} | as_would_train(asked)
        if other:
            own |= {"task": other, "task_options": task.evaluation_options.get(other, {})}
            own.pop("max_new_tokens", None)  # of the run's own data
        self.values: dict[str, Any] = {
            "model": model,
            "k": comparison.k,
            **own,
            "split": split,
            "limit": self.problems,
            "seed": comparison.seed,
            "output": str(self.records),
            **comparison.evaluation,
        }
        self.after = [run.name] if run else comparison.builds_of([model])

    def check(self) -> None:
        request = self._request()
        request.check()
        check_split(find_task(request.task_name, request.options_of_task), str(request.split))

    def refuse_others(self) -> None:
        if self.records.exists():
            # The folder of a run may have moved.
            refuse_other_records(self.records, self._request(), moved=self.run is not None)

    def is_done(self) -> bool:
        """Whether the records are there, with all problems and samples that are asked for."""
        return is_whole(self.records, self.note, limit=self.problems, k=self.comparison.k)

    def job(self) -> Job:
        asked = dict(self.values)
        command = ["evaluate", asked.pop("model"), "-k", str(asked.pop("k")), *flags(asked)]
        log = self.comparison.log(self.name)
        return Job(self.name, command, log, self.after, done=self.write_note)

    def write_note(self) -> None:
        """Keep beside the records what was asked when they were done."""
        write_atomically(self.note, yaml.safe_dump(self.values, sort_keys=False))

    def _request(self) -> EvaluationRequest:
        request = build(EvaluationRequest, self.values | {"output": self.records}, "evaluation")
        return request.or_as(as_in_training(request.model))
