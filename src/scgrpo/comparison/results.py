"""What a comparison found: one record a run, from which every table and figure is made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scgrpo.comparison.config import Comparison
from scgrpo.comparison.plan import (
    BASE,
    TrainingRun,
    base_records,
    learning_rate,
    main_runs,
    sweep_runs,
    validation_scores,
)
from scgrpo.evaluation.metrics import Rewards, Statistic, avg_at_k, pass_at_k
from scgrpo.evaluation.records import read_records, reward_matrix
from scgrpo.evaluation.seeds import seeded_difference, seeded_interval
from scgrpo.trainer.run_folder import read_jsonl, write_atomically

Record = dict[str, Any]
CURVES = ("reward", "entropy", "grad_norm", "credit/none_share", "credit/weight_mean")


@dataclass(frozen=True)
class Cell:
    """A value with its interval, and its difference to the baseline where there is one."""

    value: float
    low: float
    high: float
    difference: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Row:
    """One method on one task."""

    task: str
    method: str
    group: str
    seeds: int
    planned_seeds: int
    learning_rate: float | None
    cells: dict[tuple[str, str], Cell]
    """By split and measure."""
    seconds: float
    """Of training, the mean over seeds; NaN for the untrained model."""
    tokens: float
    """Prompt and completion tokens that were sampled in training, likewise."""


def collect(comparison: Comparison) -> list[Record]:
    """One record for each evaluated run, the untrained models included."""
    records = []
    for task in comparison.tasks.values():
        rewards = _rewards({s: base_records(comparison, task, s) for s in task.splits})
        if rewards is not None:
            records.append({"task": task.name, "method": BASE, "seed": None, "rewards": rewards})
    for run in main_runs(comparison):
        rewards = _rewards({split: run.records(split) for split in run.task.splits})
        if rewards is not None:
            records.append(_record(run) | {"rewards": rewards})
    return records


def collect_sweeps(comparison: Comparison) -> list[Record]:
    """Validation Avg@k of each learning rate of each swept method, and which one was chosen."""
    swept = {(run.task.name, run.method.name): run for run in sweep_runs(comparison)}
    return [
        {
            "task": run.task.name,
            "method": run.method.name,
            "avg": {f"{rate:g}": round(score, 4) for rate, score in sorted(scores.items())},
            "chosen": learning_rate(comparison, run.task, run.method),
        }
        for run in swept.values()
        if (scores := validation_scores(comparison, run.task, run.method))
    ]


def write_results(comparison: Comparison) -> Path:
    """Write `results.json`: the records of all runs, and what is needed to read them alone."""
    results = {
        "name": comparison.name,
        "baseline": comparison.baseline,
        "k": comparison.k,
        "groups": {name: row.group for name, row in comparison.methods.items()},
        "planned": {name: len(row.seed_list) for name, row in comparison.methods.items()},
        "tasks": {
            name: {"axis": row.axis, "splits": row.splits} for name, row in comparison.tasks.items()
        },
        "sweeps": collect_sweeps(comparison),
        "runs": collect(comparison),
    }
    lines = [f'"{key}": {_json(value)}' for key, value in results.items() if key != "runs"]
    runs = ",\n".join(_json(run) for run in results["runs"])  # type: ignore[attr-defined]
    path = comparison.folder / "results.json"
    write_atomically(path, "{" + ",\n".join([*lines, f'"runs": [\n{runs}\n]']) + "}\n")
    return path


def read_results(path: Path) -> dict[str, Any]:
    """What `write_results` wrote.

    Raises:
        ValueError: for a file that is none.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} holds no results of a comparison ({error}).") from error
    if not isinstance(results, dict) or "runs" not in results:
        raise ValueError(f"{path} holds no results of a comparison (it has no runs).")
    return results


def rows(results: dict[str, Any]) -> list[Row]:
    """Table rows: for each task the untrained model, then the methods in their order."""
    found = []
    for task in results["tasks"]:
        by_method = {
            method: [r for r in results["runs"] if (r["task"], r["method"]) == (task, method)]
            for method in (BASE, *results["groups"])
        }
        baseline = by_method.get(results["baseline"], [])
        found += [
            _row(results, task, method, runs, baseline)
            for method, runs in by_method.items()
            if runs
        ]
    return found


def measures(k: int) -> dict[str, Statistic]:
    """The measures of the table by name."""
    return {f"Avg@{k}": avg_at_k, f"Pass@{k}": partial(pass_at_k, k=k)}


def matrices(runs: Sequence[Record], split: str) -> list[Rewards]:
    """Rewards `(P, K)` of a split, one matrix a seed."""
    return [np.array(run["rewards"][split], dtype=np.float64) for run in runs]


def _row(
    results: dict[str, Any], task: str, method: str, runs: list[Record], baseline: list[Record]
) -> Row:
    cells = {}
    for split in results["tasks"][task]["splits"]:
        own = matrices(runs, split)
        for name, statistic in measures(results["k"]).items():
            value = float(np.mean([statistic(matrix) for matrix in own]))
            compared = baseline and method not in (BASE, results["baseline"])
            difference = (
                seeded_difference(matrices(baseline, split), own, statistic) if compared else None
            )
            low, high = seeded_interval(own, statistic)
            cells[split, name] = Cell(value, low, high, difference)

    def mean(key: str) -> float:
        return float(np.mean([run.get(key, np.nan) for run in runs]))

    return Row(
        task,
        method,
        results["groups"].get(method, ""),
        len(runs),
        results["planned"].get(method, 1),
        runs[0].get("learning_rate"),
        cells,
        mean("seconds"),
        mean("tokens"),
    )


def _record(run: TrainingRun) -> Record:
    logged = read_jsonl(run.folder / "metrics.jsonl")
    curves = {
        name: [_short(row[name]) for row in logged if row.get(name) is not None] for name in CURVES
    }
    return {
        "task": run.task.name,
        "method": run.method.name,
        "seed": run.seed,
        "learning_rate": run.learning_rate,
        "steps": logged[-1]["step"],
        "seconds": round(sum(row.get("step_time") or 0.0 for row in logged), 1),
        "tokens": logged[-1].get("num_tokens"),
        "curves": {name: values for name, values in curves.items() if values},
    }


def _rewards(files: dict[str, Path]) -> dict[str, list[list[float]]] | None:
    if not files or not all(path.exists() for path in files.values()):
        return None
    found = {}
    for split, path in files.items():
        _, matrix = reward_matrix(read_records(path))
        found[split] = [[int(v) if v in (0, 1) else round(v, 4) for v in row] for row in matrix]
    return found


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
