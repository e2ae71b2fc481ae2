"""From the folder of a comparison to its results: one record a run."""

import os
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from scgrpo.comparison.config import BASE, Comparison
from scgrpo.comparison.plan import (
    base_evaluations,
    learning_rate,
    main_runs,
    sweep_runs,
    validation_scores,
)
from scgrpo.comparison.steps import Evaluation
from scgrpo.evaluation.kept import rewards_like
from scgrpo.files import read_jsonl

Record = dict[str, Any]
CURVES = (
    "reward", "entropy", "grad_norm", "credit/none_share", "credit/weight_mean",
    "credit/teacher_auc", "credit/kl_p50", "credit/kl_p75", "credit/kl_p95",
)  # fmt: skip


def results_of(comparison: Comparison) -> Record:
    """What is known of a comparison: the records of all runs, and what they are read with.

    Raises:
        ConfigError: for runs on other problems than the first one's.
    """
    methods, tasks = comparison.methods.items(), comparison.tasks.items()
    return {
        "name": comparison.name,
        "baseline": comparison.baseline,
        "k": comparison.k,
        "groups": {name: row.group for name, row in methods},
        "planned": {name: len(row.seed_list) for name, row in methods},
        "tasks": {name: {"axis": row.axis, "splits": row.splits} for name, row in tasks},
        "sweeps": _sweeps(comparison),
        "runs": collect(comparison),
    }


def collect(comparison: Comparison) -> list[Record]:
    """One record for each run that is evaluated as asked, the untrained models included."""
    first: dict[tuple[str, str], Path] = {}
    found = []
    for own in _reported(comparison):
        if all(step.is_done() for step in own):
            rewards = {}
            for step in own:
                like = first.setdefault((step.task.name, step.split), step.records)
                rewards[step.split] = rewards_like(step.records, like)
            found.append(_record(own[0]) | {"rewards": rewards})
    return found


def unfinished(comparison: Comparison) -> list[str]:
    """Names of the evaluations that have records, but fewer than are asked for."""
    steps = chain.from_iterable(_reported(comparison))
    return [step.name for step in steps if step.records.exists() and not step.is_done()]


def _reported(comparison: Comparison) -> list[list[Evaluation]]:
    """The evaluations of each untrained model and each run."""
    base = groupby(base_evaluations(comparison), lambda step: step.label)
    return [*(list(own) for _, own in base), *(run.evaluations for run in main_runs(comparison))]


def _sweeps(comparison: Comparison) -> list[Record]:
    """Validation Avg@k of each learning rate of each swept method, and which one was chosen."""
    swept = {(run.task.name, run.method.name): run for run in sweep_runs(comparison)}
    found = []
    for (task, method), run in swept.items():
        if scores := validation_scores(comparison, run.task, run.method):
            avg = {f"{rate:g}": round(score, 4) for rate, score in sorted(scores.items())}
            chosen = learning_rate(comparison, run.task, run.method)
            found.append({"task": task, "method": method, "avg": avg, "chosen": chosen})
    return found


def _record(step: Evaluation) -> Record:
    run = step.run
    if run is None:
        return {"task": step.task.name, "method": BASE, "seed": None}
    metrics = run.folder.metrics
    logged = [row for row in read_jsonl(metrics) if "step" in row]
    if not logged:
        raise ValueError(f"{metrics} holds no step; restore it, or delete {run.folder.path}.")
    curves = {
        name: [float(f"{row[name]:.4g}") for row in logged if row.get(name) is not None]
        for name in CURVES
    }
    made_from = (run.folder.read_config() or {}).get("trainer") or {}
    return {
        "task": run.task.name,
        "method": run.method.name,
        "seed": run.seed,
        "folder": os.path.relpath(run.folder.path, run.comparison.folder),
        "learning_rate": run.learning_rate or made_from.get("learning_rate"),
        "steps": logged[-1]["step"],
        "seconds": round(sum(row.get("step_time") or 0.0 for row in logged), 1),
        "tokens": logged[-1].get("num_tokens"),
        "curves": {name: values for name, values in curves.items() if values},
    }
