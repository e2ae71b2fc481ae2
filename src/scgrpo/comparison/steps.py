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
from scgrpo.embedded.recipe import Recipe
from scgrpo.evaluation.kept import Kept, kept_records, refuse_other_records
from scgrpo.evaluation.prepare import find_task
from scgrpo.evaluation.request import EvaluationRequest
from scgrpo.files import write_atomically
from scgrpo.mistakes import ConfigError
from scgrpo.runs.check import check_run
from scgrpo.runs.config_reader import build, read_mapping_file, run_config_of
from scgrpo.runs.run import refuse_other_run
from scgrpo.runs.run_folder import RunFolder
from scgrpo.tasks.base import check_split


@dataclass(frozen=True)
class Build:
    """A model that is built."""

    comparison: Comparison
    model: str

    @property
    def name(self) -> str:
        return f"build {self.model}"

    def check(self) -> Recipe:
        return build(Recipe, self.comparison.models[self.model], f"models {self.model!r}")

    def refuse_others(self) -> None:
        if self.is_done():
            self.check().refuse_other(self.comparison.model_folder(self.model))

    def is_done(self) -> bool:
        return (self.comparison.model_folder(self.model) / "recipe.json").exists()

    def job(self) -> Job:
        folder, options = self.comparison.model_folder(self.model), self.check_flags
        arguments = ["build-base", str(self.folder), *_flags(self.comparison.models[self.model])]
        return Job(self.name, arguments, self.comparison.log(self.name))
