"""The rows of a comparison's table, from its `results.json` alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scgrpo.comparison.config import BASE
from scgrpo.evaluation.metrics import Rewards, Statistic, avg_at_k, pass_at_k
from scgrpo.evaluation.seeds import seeded_difference, seeded_interval

Record = dict[str, Any]


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


def matrices(runs: Sequence[Record], split: str) -> list[Rewards]:
    """Rewards `(P, K)` of a split, one matrix a seed."""
    return [np.array(run["rewards"][split], dtype=np.float64) for run in runs]


def _row(
    results: dict[str, Any], task: str, method: str, runs: list[Record], baseline: list[Record]
) -> Row:
    cells = {}
    k, compared = results["k"], method not in (BASE, results["baseline"])
    measures: dict[str, Statistic] = {f"Avg@{k}": avg_at_k, f"Pass@{k}": partial(pass_at_k, k=k)}
    for split in results["tasks"][task]["splits"]:
        own = matrices(runs, split)
        other = matrices(baseline, split) if compared else []
        _refuse_unequal(own + other, f"{task}, {split}, {method}")
        for name, statistic in measures.items():
            value = float(np.mean([statistic(matrix) for matrix in own]))
            difference = seeded_difference(other, own, statistic) if other else None
            cells[split, name] = Cell(value, *seeded_interval(own, statistic), difference)

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
