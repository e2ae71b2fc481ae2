"""Where a run's problems and rewards come from: a task, or the user's own data set and reward."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset

from scgrpo.importing import import_function
from scgrpo.mistakes import ConfigError, on_one_line, shown
from scgrpo.runs.run_config import RunConfig
from scgrpo.tasks import load_task
from scgrpo.tasks.files import format_of, read_files
from scgrpo.trainer.rows import check_rows


@dataclass(frozen=True)
class Source:
    """Problems to train and to evaluate on, and what says whether a completion solves one."""

    train: Dataset
    evaluation: dict[str, Dataset]
    verify: Callable[..., Any]
    guide: str
    trainer_defaults: dict[str, Any] = field(default_factory=dict)
    """SCGRPOConfig fields that suit this source, such as the length of a completion."""
    environment: Callable[[], Any] | None = None
    """For agent tasks: TRL's `environment_factory`."""
    environment_scores: bool = False
    """Whether its `get_reward` replaces `verify`."""


def load_source(config: RunConfig) -> Source:
    """Load what a run is about.

    Raises:
        ValueError: for a data set without rows or columns, or a reward that cannot be imported.
    """
    if config.dataset is None:
        return _task_source(config, str(config.task_name))
    if config.task is not None:
        raise ValueError(
            f"both task={config.task!r} and dataset={config.dataset!r} are given; keep one."
        )
    return _dataset_source(config.dataset, config.reward)


def _task_source(config: RunConfig, name: str) -> Source:
    task = load_task(name, **config.task_options)
    if task.training_split is None:
        raise ValueError(
            f"task {task.name!r} is a benchmark without a training split; train on another task "
            "(`scgrpo tasks` lists them) and evaluate on this one."
        )
    train = task.rows(task.training_split)
    # Evaluation during training is single-turn: an agent task is evaluated by `scgrpo evaluate`.
    evaluates = config.eval_steps and task.environment is None
    splits = task.evaluation_splits if evaluates else ()
    held_out = {split: _first(task.rows(split), config.eval_problems) for split in splits}
    return Source(
        train=train,
        evaluation=held_out,
        verify=task.verify,
        guide=task.guide,
        trainer_defaults=dict(task.trainer_defaults),
        environment=task.environment,
        environment_scores=task.environment is not None and task.environment_scores,
    )


def _dataset_source(name: str, reward: str | None) -> Source:
    if reward is None:
        raise ValueError(
            f"dataset={name!r} needs a reward; set reward to package.module:function or "
            "path.py:function."
        )
    rows = _load_rows(name)
    if len(rows) == 0:
        raise ValueError(f"dataset {name!r} is empty (0 rows); check the path and the split.")
    for column in ("prompt", "answer"):
        if column not in rows.column_names:
            raise ValueError(
                f"dataset {name!r} has no column {column!r} (it has: "
                f"{', '.join(rows.column_names)}); rename or add it."
            )
    check_rows(rows, f"dataset {name!r}")
    return Source(rows, {}, import_function(reward, "reward"), guide="math")


def _load_rows(name: str) -> Dataset:
    path = Path(name)
    try:
        if format_of(path) is None:
            return load_dataset(name, split="train")
        if not path.exists():
            raise ConfigError(f"dataset {name!r} does not exist; give a file or a hub id.")
    except ConfigError:
        raise
    except Exception as error:  # the hub, the network and the builders raise dozens of kinds
        raise ConfigError(
            f"dataset is {shown(name)}, which cannot be loaded ({on_one_line(error)}); give a "
            "file, a folder or a hub id."
        ) from error
    return read_files([path], f"dataset {name!r}")


def _first(rows: Dataset, count: int) -> Dataset:
    return rows.select(range(min(count, len(rows))))
