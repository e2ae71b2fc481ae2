"""Reading run folders, forgiving where a part is missing and clear where all is."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from scgrpo.evaluation.metrics import Rewards
from scgrpo.evaluation.records import COLUMNS, reward_matrix
from scgrpo.files import Row, broken_lines, jsonl_lines
from scgrpo.mistakes import ConfigError
from scgrpo.run_folder import RunFolder
from scgrpo.written.mappings import read_mapping_file

Evaluation = tuple[list[str], Rewards]
"""Problem ids, and rewards `(P, K)` in the same order."""


@dataclass
class Run:
    """One run folder, as far as it is there."""

    path: Path
    notes: list[str] = field(default_factory=list)
    """What is missing, in words for the page."""

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    @cached_property
    def config(self) -> Row:
        config: Row = {}
        if not self.folder.config.exists():
            self.notes.append(f"{self.name} has no config.yaml; TRL wrote its checkpoints.")
            return config
        with suppress(ConfigError):
            config = read_mapping_file(self.path / "config.yaml", "config")
        if not config:
            raise ConfigError(
                f"{self.path / 'config.yaml'} is no YAML mapping; restore it, or leave this run "
                "out of the report."
            )
        return config

    @property
    def method(self) -> Row:
        method = self.config.get("method")
        return method if isinstance(method, dict) else {}

    @property
    def preset(self) -> str:
        return str(self.method.get("preset", "unknown method"))

    @property
    def solve_threshold(self) -> float:
        """Smallest reward that counts as solved in this run."""
        return float(self.method.get("solve_threshold", 1.0))

    @cached_property
    def metrics(self) -> list[Row]:
        path = self.folder.metrics
        found = self._read_jsonl(path) if path.exists() else self.folder.history()
        rows = [_numbers(row) for row in found if _is_step(row.get("step"))]
        if others := len(found) - len(rows):
            self.notes.append(f"{self.name}/{path.name}: {others} rows without a step left out.")
        if not rows:
            self.notes.append(f"{self.name} has logged no step yet.")
        return rows

    @cached_property
    def evaluations(self) -> dict[tuple[int, str], Evaluation]:
        """Evaluations by step and split."""
        files = sorted((self.path / "eval").glob("step_[0-9]*.jsonl"))
        if not files:
            self.notes.append(f"{self.name} has no evaluations.")
        return {
            (step_of(file), split): evaluation
            for file in files
            for split, evaluation in self._splits(file).items()
        }

    @cached_property
    def rollout_files(self) -> list[Path]:
        files = sorted((self.path / "rollouts").glob("step_[0-9]*.parquet"))
        if not files:
            self.notes.append(f"{self.name} has no logged rollouts.")
        return files

    def _splits(self, file: Path) -> dict[str, Evaluation]:
        rows = [r for r in self._read_jsonl(file, COLUMNS) if set(COLUMNS) <= set(r)]
        splits = {}
        for split in sorted({str(row["split"]) for row in rows}):
            try:
                splits[split] = reward_matrix(r for r in rows if r["split"] == split)
            except ValueError:
                self.notes.append(f"{self.name}/eval/{file.name} is not whole for {split}.")
        return splits

    def _read_jsonl(self, path: Path, columns: Sequence[str] = ()) -> list[Row]:
        """Rows of a file, with only these columns where some are named."""
        rows: list[Row] = []
        broken: list[int] = []
        for line in jsonl_lines(path):
            row = line.row
            if row is None:
                broken.append(line.number)
            else:
                rows.append({k: row[k] for k in columns if k in row} if columns else row)
        if broken:
            self.notes.append(f"{self.name}/{path.name}: {broken_lines(broken)} left out here.")
        return rows


def load_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs of these folders.

    Raises:
        ValueError: for no folder, or one that holds no run.
    """
    if not folders:
        raise ValueError("a report needs at least one run folder; name one, such as runs/demo.")
    for folder in map(Path, folders):
        if not RunFolder(folder).is_there:
            raise ValueError(
                f"{folder} is no run folder (no config.yaml, metrics.jsonl or checkpoint-N); "
                "give the folder that `scgrpo train` wrote, or a script's output_dir."
            )
    return [Run(Path(folder)) for folder in folders]


def by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs of the same method, which count as seeds of it.

    Runs of one preset that differ in a setting are different methods, named by that setting.
    """
    presets: dict[str, list[Run]] = {}
    for run in runs:
        presets.setdefault(run.preset, []).append(run)
    methods: dict[str, list[Run]] = {}
    for preset, own in presets.items():
        differing = _differing([_settings(run) for run in own])
        for run in own:
            settings = _settings(run)
            said = ", ".join(f"{_words(key)} {settings.get(key)}" for key in differing)
            methods.setdefault(f"{preset} ({said})" if said else preset, []).append(run)
    return methods


def _settings(run: Run) -> Row:
    trainer = run.config.get("trainer")
    rate = trainer.get("learning_rate") if isinstance(trainer, dict) else None
    top = {key: run.config.get(key) for key in ("task", "model")}
    return {**run.method, **top, "learning_rate": rate}


def _differing(settings: Sequence[Row]) -> list[str]:
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if len({repr(one.get(key)) for one in settings}) > 1]


def _is_step(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(row: Row) -> Row:
    """What of a row can be drawn."""
    return {key: value for key, value in row.items() if isinstance(value, (int, float))}


def _words(key: str) -> str:
    return key.replace("_", " ")


def step_of(path: Path) -> int:
    """Step in a file's name."""
    return int(path.stem.removeprefix("step_"))
