"""From a comparison to the commands that make it, each with the files that show it done."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scgrpo.comparison.config import Comparison, MethodRow, TaskRow
from scgrpo.comparison.kept import Asked, is_begun, refuse_other_model, refuse_other_run
from scgrpo.evaluation.metrics import avg_at_k
from scgrpo.evaluation.records import read_records, reward_matrix

BASE = "base"
"""Name of the row of the untrained model."""


@dataclass(frozen=True)
class Step:
    """One `scgrpo` command."""

    name: str
    arguments: list[str]
    done: Path
    """File that exists when it is done; records may then still be too few."""
    log: Path
    after: tuple[str, ...] = ()
    """Names of the steps that must be done before."""
    launcher: str = ""
    """What runs it in place of one Python process."""
    asked: Asked | None = None
    """What the records of an evaluation are to be."""

    def is_done(self) -> bool:
        return self.done.exists() if self.asked is None else self.asked.is_done()


@dataclass(frozen=True)
class TrainingRun:
    """One method on one task with one seed and learning rate."""

    comparison: Comparison
    task: TaskRow
    method: MethodRow
    seed: int
    learning_rate: float

    @property
    def name(self) -> str:
        return f"{self.task.name}/{self.method.name}/lr{self.learning_rate:g}-s{self.seed}"

    @property
    def folder(self) -> Path:
        return self.comparison.folder / self.name

    def records(self, split: str) -> Path:
        return self.folder / "records" / _file_name(split)

    @property
    def config(self) -> dict[str, Any]:
        """Keys of the run's YAML."""
        comparison, task = self.comparison, self.task
        settings = comparison.settings_of(task, self.method)
        named = ("model", "teacher_model")
        paths = {key: model_path(comparison, settings[key]) for key in named if key in settings}
        return {
            "preset": self.method.preset or self.method.name,
            "task": task.task,
            "task_options": task.options,
            "model": model_path(comparison, task.model),
            "output_dir": str(self.folder.parent),
            "name": self.folder.name,
            **settings,
            **paths,
            # What the run's name says.
            "seed": self.seed,
            "learning_rate": self.learning_rate,
        }

    @property
    def config_file(self) -> Path:
        """YAML from which the training step reads the run."""
        return self.folder.parent / f"{self.folder.name}.yaml"

    def training(self) -> Step:
        return Step(
            f"train {self.name}",
            ["train", "--config", str(self.config_file)],
            done=self.folder / "model" / "config.json",
            log=self.comparison.folder / "logs" / f"{self.name.replace('/', '_')}.log",
            after=_builds(self.comparison, self.config),
            launcher=self.comparison.launcher,
        )

    def refuse_others(self) -> None:
        """Refuse a run of this name that was begun otherwise.

        Raises:
            ValueError: naming the key, both values and the cure.
        """
        refuse_other_run(self.name, self.folder, self.config_file, self.config)

    def write_config(self) -> None:
        """Put the YAML where the training step reads it; that of a begun run stays."""
        if is_begun(self.folder) and self.config_file.exists():
            return
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))

    def evaluations(self, splits: Iterable[tuple[str, int | None]]) -> Iterator[Step]:
        for split, problems in splits:
            yield evaluation(
                self.comparison,
                self.task,
                f"{self.name}/{split}",
                str(self.folder),
                (split, problems),
                self.records(split),
                after=(f"train {self.name}",),
            )


def evaluation(
    comparison: Comparison,
    task: TaskRow,
    name: str,
    model: str,
    split: tuple[str, int | None],
    records: Path,
    after: tuple[str, ...],
) -> Step:
    """The step that samples a model on a split of a task."""
    where, problems = split
    other, _, part = where.rpartition("/")
    options = task.evaluation_options.get(other, {}) if other else task.options
    flags = {
        "task": other or task.task,
        "split": part,
        "task_options": options,
        "limit": problems,
        "seed": comparison.seed,
        "output": str(records),
        **comparison.evaluation,
    }
    arguments = ["evaluate", model, "-k", str(comparison.k), *_flags(flags)]
    log = comparison.folder / "logs" / f"evaluate_{name.replace('/', '_')}.log"
    untrained = model if name.split("/")[1] == BASE else None
    asked = Asked(name, records, comparison.k, flags, untrained)
    return Step(f"evaluate {name}", arguments, records, log, after, asked=asked)


def _flags(values: Mapping[str, Any]) -> list[str]:
    """`--key value` for each, mappings as JSON, null left out."""
    pairs = (
        (f"--{name.replace('_', '-')}", json.dumps(v) if isinstance(v, dict) else str(v))
        for name, v in values.items()
        if v is not None
    )
    return [text for pair in pairs for text in pair]


def model_path(comparison: Comparison, name: str) -> str:
    """Folder of a model that the comparison builds, else the name itself."""
    return str(comparison.folder / "models" / name) if name in comparison.models else name


def model_steps(comparison: Comparison) -> list[Step]:
    """Builds of the models that are built, and evaluations of the untrained ones."""
    return build_steps(comparison) + base_steps(comparison)


def build_steps(comparison: Comparison) -> list[Step]:
    """Builds of the models that are built."""
    steps = []
    for name, options in comparison.models.items():
        folder = Path(model_path(comparison, name))
        arguments = ["build-base", str(folder), *_flags(options)]
        log = comparison.folder / "logs" / f"build_{name}.log"
        steps.append(Step(f"build {name}", arguments, folder / "recipe.json", log))
    return steps


def base_steps(comparison: Comparison) -> list[Step]:
    """Evaluations of the untrained models."""
    return [s for task in comparison.tasks.values() for s in base_evaluations(comparison, task)]


def base_evaluations(comparison: Comparison, task: TaskRow) -> list[Step]:
    """Evaluations of the untrained model of a task, one a split."""
    model = model_path(comparison, task.model)
    after = (f"build {task.model}",) if task.model in comparison.models else ()
    return [
        evaluation(
            comparison,
            task,
            f"{task.name}/{BASE}/{split[0]}",
            model,
            split,
            base_records(comparison, task, split[0]),
            after,
        )
        for split in task.splits.items()
    ]


def base_records(comparison: Comparison, task: TaskRow, split: str) -> Path:
    """Records of the untrained model."""
    return comparison.folder / task.name / BASE / "records" / _file_name(split)


def _file_name(split: str) -> str:
    return f"{split.replace('/', '_')}.jsonl"


def sweep_runs(comparison: Comparison) -> list[TrainingRun]:
    """Runs by which the methods that are swept get their learning rates."""
    return [
        TrainingRun(comparison, task, method, seed, float(rate))
        for task in comparison.tasks.values()
        for method in comparison.methods.values()
        if method.is_run_on(task) and comparison.is_swept(task, method)
        for rate in comparison.sweep.learning_rates
        for seed in comparison.sweep.seeds
    ]


def validation_scores(
    comparison: Comparison, task: TaskRow, method: MethodRow
) -> dict[float, float]:
    """Mean Avg@k on the validation split by learning rate, as far as it was evaluated."""
    scores: dict[float, list[float]] = {}
    for run in sweep_runs(comparison):
        if (run.task, run.method) != (task, method):
            continue
        steps = list(run.evaluations(task.validation.items()))
        if steps and all(step.is_done() for step in steps):
            rewards = [reward_matrix(read_records(step.done))[1] for step in steps]
            mean = sum(map(avg_at_k, rewards)) / len(rewards)
            scores.setdefault(run.learning_rate, []).append(mean)
    return {rate: sum(values) / len(values) for rate, values in scores.items()}


def learning_rate(comparison: Comparison, task: TaskRow, method: MethodRow) -> float | None:
    """The learning rate of a method on a task; None where its sweep is not done or failed."""
    given = comparison.given_rate(task, method)
    if given is not None:
        return given
    if method.learning_rate_of is not None:
        return learning_rate(comparison, task, comparison.methods[method.learning_rate_of])
    scores = validation_scores(comparison, task, method)
    # Of equal scores the smaller learning rate is the safer one.
    return min(scores, key=lambda rate: (-scores[rate], rate)) if scores else None


def possible_rates(comparison: Comparison, task: TaskRow, method: MethodRow) -> list[float]:
    """The learning rates of which a method may get one on a task."""
    owner = comparison.methods[method.learning_rate_of or method.name]
    given = comparison.given_rate(task, owner)
    return list(map(float, comparison.sweep.learning_rates)) if given is None else [given]


def main_runs(comparison: Comparison) -> list[TrainingRun]:
    """The reported runs of all methods whose learning rate is known."""
    runs = []
    for task in comparison.tasks.values():
        for method in comparison.methods.values():
            rate = learning_rate(comparison, task, method) if method.is_run_on(task) else None
            if rate is not None:
                runs += [TrainingRun(comparison, task, method, s, rate) for s in method.seed_list]
    return runs


def refuse_others(comparison: Comparison) -> None:
    """Refuse what is in the folder but was made otherwise than is asked for now.

    All that may become part of the comparison counts, whichever learning rates are chosen.

    Raises:
        ValueError: naming what differs, both values and the cure.
    """
    for name, options in comparison.models.items():
        refuse_other_model(name, Path(model_path(comparison, name)), options)
    steps = base_steps(comparison)
    for run in sweep_runs(comparison):
        run.refuse_others()
        steps += run.evaluations(run.task.validation.items())
    for run in _possible_runs(comparison):
        run.refuse_others()
        steps += run.evaluations(run.task.splits.items())
    for step in steps:
        if step.asked is not None:
            step.asked.refuse_others()


def _possible_runs(comparison: Comparison) -> Iterator[TrainingRun]:
    for task in comparison.tasks.values():
        for method in filter(lambda row: row.is_run_on(task), comparison.methods.values()):
            for rate in possible_rates(comparison, task, method):
                for seed in method.seed_list:
                    yield TrainingRun(comparison, task, method, seed, rate)


def sweep_steps(comparison: Comparison) -> list[Step]:
    """Training and validation of the runs that choose learning rates."""
    return _steps((run, run.task.validation) for run in sweep_runs(comparison))


def main_steps(comparison: Comparison, settled: set[str]) -> list[Step]:
    """Training and evaluation of the reported runs whose sweep is settled.

    Args:
        comparison: what is compared.
        settled: names of the steps that are done or have failed.
    """
    unsettled = {
        (run.task.name, run.method.name)
        for run in sweep_runs(comparison)
        for step in run.evaluations(run.task.validation.items())
        if step.name not in settled and not step.is_done()
    }
    runs = (
        run
        for run in main_runs(comparison)
        if (run.task.name, run.method.learning_rate_of or run.method.name) not in unsettled
    )
    return _steps((run, run.task.splits) for run in runs)


def _steps(runs: Iterable[tuple[TrainingRun, dict[str, int | None]]]) -> list[Step]:
    steps = []
    for run, splits in runs:
        run.write_config()
        steps += [run.training(), *run.evaluations(splits.items())]
    return steps


def _builds(comparison: Comparison, config: dict[str, Any]) -> tuple[str, ...]:
    folder = comparison.folder / "models"
    paths = {str(folder / name): name for name in comparison.models}
    used = (config.get(key) for key in ("model", "teacher_model"))
    return tuple(f"build {paths[path]}" for path in used if path in paths)
