"""What a comparison found: one record a run, from which every table and figure is made."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scgrpo.comparison.config import Comparison
from scgrpo.comparison.plan import (
    BASE,
    Step,
    TrainingRun,
    base_evaluations,
    learning_rate,
    main_runs,
    sweep_runs,
    validation_scores,
)
from scgrpo.evaluation.metrics import Rewards, Statistic, avg_at_k, pass_at_k
from scgrpo.evaluation.records import read_records, reward_matrix
from scgrpo.evaluation.seeds import seeded_difference, seeded_interval
from scgrpo.files import read_jsonl, write_atomically

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
    shared = _SharedProblems()
    for task in comparison.tasks.values():
        rewards = shared.rewards(task.name, task.splits, base_evaluations(comparison, task))
        if rewards is not None:
            records.append({"task": task.name, "method": BASE, "seed": None, "rewards": rewards})
    for run in main_runs(comparison):
        splits = run.task.splits
        rewards = shared.rewards(run.task.name, splits, list(run.evaluations(splits.items())))
        if rewards is not None:
            records.append(_record(run) | {"rewards": rewards})
    return records


def unfinished(comparison: Comparison) -> list[str]:
    """Names of the evaluations that have records, but fewer than are asked for."""
    steps = [s for task in comparison.tasks.values() for s in base_evaluations(comparison, task)]
    for run in main_runs(comparison):
        steps += run.evaluations(run.task.splits.items())
    return [step.name for step in steps if step.done.exists() and not step.is_done()]


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
            if compared:
                _refuse_unequal(own + matrices(baseline, split), f"{task}, {split}, {method}")
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


def _refuse_unequal(found: Sequence[Rewards], place: str) -> None:
    shapes = sorted({matrix.shape for matrix in found})
    if len(shapes) > 1:
        said = " and ".join(f"{problems} x {k}" for problems, k in shapes)
        raise ValueError(
            f"the runs of {place} and its baseline have unequal numbers of problems x samples "
            f"({said}), so their difference cannot be paired; run the comparison again."
        )


def _record(run: TrainingRun) -> Record:
    metrics = run.folder / "metrics.jsonl"
    logged = [row for row in read_jsonl(metrics) if "step" in row]
    if not logged:
        raise ValueError(f"{metrics} holds no step; restore it, or delete {run.folder}.")
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


class _SharedProblems:
    """Rewards of runs on the same problems in the same order, for paired differences."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[Path, list[str]]] = {}

    def rewards(
        self, task: str, splits: Iterable[str], steps: Sequence[Step]
    ) -> dict[str, list[list[float]]] | None:
        """Rewards by split, one row a problem; None where an evaluation is not done."""
        if not steps or not all(step.is_done() for step in steps):
            return None
        found = {}
        for split, step in zip(splits, steps, strict=True):
            matrix = self._in_order((task, split), step.done)
            found[split] = [[int(v) if v in (0, 1) else round(v, 4) for v in row] for row in matrix]
        return found

    def _in_order(self, key: tuple[str, str], path: Path) -> Rewards:
        ids, matrix = reward_matrix(read_records(path))
        first, order = self._first.setdefault(key, (path, ids))
        if set(ids) != set(order):
            other = min(set(ids) ^ set(order))
            raise ValueError(
                f"{path} and {first} hold other problems ({other!r} is in one of them only), so "
                "their difference cannot be paired; delete the file that is out of date and run "
                "the comparison again."
            )
        places = {problem: place for place, problem in enumerate(ids)}
        return matrix[[places[problem] for problem in order]]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
