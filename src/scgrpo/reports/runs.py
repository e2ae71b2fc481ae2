"""Reading run folders, forgiving where a part is missing and clear where all is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from scgrpo.evaluation.records import Record, reward_matrix

Row = dict[str, Any]


@dataclass
class Run:
    """One run folder, as far as it is there."""

    path: Path
    notes: list[str] = field(default_factory=list)
    """What is missing, in words for the page."""

    @cached_property
    def config(self) -> Row:
        return yaml.safe_load((self.path / "config.yaml").read_text()) or {}

    @cached_property
    def metrics(self) -> list[Row]:
        return self._read_jsonl(self.path / "metrics.jsonl")

    @cached_property
    def evaluations(self) -> dict[int, list[Record]]:
        """Evaluation records by step."""
        files = sorted((self.path / "eval").glob("step_*.jsonl"))
        if not files:
            self.notes.append(f"{self.path.name} has no evaluations.")
        return {step_of(file): self._read_jsonl(file) for file in files}

    @cached_property
    def rollout_files(self) -> list[Path]:
        files = sorted((self.path / "rollouts").glob("step_*.parquet"))
        if not files:
            self.notes.append(f"{self.path.name} has no logged rollouts.")
        return files

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def method(self) -> str:
        return str(self.config.get("method", {}).get("preset", "unknown method"))

    def rewards(self, step: int, split: str) -> tuple[list[str], Any] | None:
        """Problem ids and rewards `(P, K)` of an evaluation, None where it is not whole."""
        records = [r for r in self.evaluations.get(step, []) if r["split"] == split]
        try:
            return reward_matrix(records)
        except ValueError:
            return None

    def _read_jsonl(self, path: Path) -> list[Row]:
        rows: list[Row] = []
        # str.splitlines would also split at characters that JSON allows inside a string.
        for line in filter(None, path.read_text(errors="replace").split("\n")):
            try:
                rows.append(json.loads(line))
            except ValueError:
                self.notes.append(f"{self.name}/{path.name} ends in a half-written line.")
                break
        return rows


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs of these folders.

    Raises:
        ValueError: for no folder, or one that holds no run.
    """
    if not folders:
        raise ValueError("a report needs at least one run folder; name one, such as runs/demo.")
    for folder in folders:
        missing = [
            name for name in ("config.yaml", "metrics.jsonl") if not (folder / name).exists()
        ]
        if missing:
            raise ValueError(
                f"{folder} is no run folder ({' and '.join(missing)} missing); give the folder "
                "that `scgrpo train` wrote."
            )
    return [Run(Path(folder)) for folder in folders]


def by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of the same method, which count as seeds of it."""
    methods: dict[str, list[Run]] = {}
    for run in runs:
        methods.setdefault(run.method, []).append(run)
    return methods


def read_rollouts(path: Path, columns: list[str] | None = None) -> list[Row]:
    """Rows of a rollout table."""
    return list(pq.read_table(path, columns=columns).to_pylist())


def step_of(path: Path) -> int:
    """Step in a file's name."""
    return int(path.stem.removeprefix("step_"))
