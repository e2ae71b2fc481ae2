"""Resolving a run without its data and weights."""

from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import Dataset

from scgrpo.comparison.config import TaskRow
from scgrpo.runs.arguments import trainer_arguments
from scgrpo.runs.data import Source
from scgrpo.runs.run_config import RunConfig
from scgrpo.runs.run_folder import RunFolder
from scgrpo.tasks import load_task


def check_run(config: RunConfig) -> None:
    """Everything of a run but the downloads: its task and options, its preset, every argument.

    Raises:
        ValueError: for what cannot work.
    """
    task = load_task(config.task or "synthetic", **config.task_options)
    source = Source(
        Dataset.from_list([]),
        {},
        task.verify,
        task.guide,
        dict(getattr(task, "trainer_defaults", {})),
    )
    with TemporaryDirectory() as folder:
        # The arguments of a GPU run are checked on whatever machine this is.
        settings = config.trainer | {"bf16": False, "use_cpu": True}
        checked = RunConfig(**{**vars(config), "trainer": settings})
        trainer_arguments(checked, source, RunFolder(Path(folder)))


def check_splits(task: TaskRow) -> None:
    """Whether the splits that are reported and validated on exist, without loading them.

    Raises:
        ValueError: naming the first split or task that does not.
    """
    for name in (*task.splits, *task.validation):
        other, _, split = name.rpartition("/")
        options = task.evaluation_options.get(other, {}) if other else task.options
        known = load_task(other or task.task, **options).splits
        if split not in known:
            raise ValueError(
                f"task {task.name!r} is evaluated on {name!r}, but the splits of "
                f"{other or task.task} are {', '.join(known)}."
            )
