"""What the charts show: series of points and bands, ready to be drawn."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from scgrpo.evaluation.metrics import avg_at_k, interval, pass_at_k
from scgrpo.reports.runs import Run

Chart = dict[str, Any]
Series = dict[str, Any]
RESAMPLES = 400
SMOOTHING = 9
SPLIT_NAMES = {"heldout": "held-out", "ood": "out of distribution"}
PHASES = ("generate", "student_pass", "teacher_pass", "update")
ROUTES = ("plain", "partial", "none")


def all_charts(methods: dict[str, list[Run]]) -> list[Chart]:
    """Every chart that the runs have data for."""
    charts = [*_evaluation_charts(methods)]
    single = [
        ("reward", "Training reward", "mean reward of a step, smoothed"),
        ("entropy", "Entropy", "nats per token"),
        ("credit/weight_mean", "Mean weight f", "over active tokens"),
        ("completions/mean_length", "Completion length", "tokens"),
        ("credit/none_share", "Credit from unsolved groups", "share of |f A|"),
    ]
    charts += [_metric_chart(methods, *names) for names in single]
    for method, runs in methods.items():
        charts.append(_kl_chart(method, runs))
        charts.append(_stacked(method, runs, "Routes", "credit/route_", ROUTES, "share of groups"))
        charts.append(_stacked(method, runs, "Time of a step", "time/", PHASES, "seconds"))
    return [chart for chart in charts if any(s["points"] for s in chart["series"])]


def hierarchical_interval(
    rewards: Sequence[np.ndarray], statistic: Callable[[Any], float]
) -> tuple[float, float]:
    """95 % bootstrap interval over seeds and problems; over problems alone for one seed."""
    rng = np.random.default_rng(0)
    stack = np.stack(rewards)
    seeds, problems, _ = stack.shape
    if problems < 2:
        return float("nan"), float("nan")
    draws = []
    for _ in range(RESAMPLES):
        drawn = stack[rng.integers(seeds, size=seeds)][:, rng.integers(problems, size=problems)]
        draws.append(statistic(drawn.reshape(-1, stack.shape[2])))
    return interval(draws, 0.95)


def evaluation_points(
    runs: Sequence[Run], split: str, statistic: Callable[[Any], float]
) -> list[list[float]]:
    """[step, value, low, high] at each step that all runs of a method were evaluated at."""
    steps = sorted(set.intersection(*(set(run.evaluations) for run in runs)))
    points = []
    for step in steps:
        found = [run.rewards(step, split) for run in runs]
        rewards = [matrix for _, matrix in filter(None, found)]
        if len(rewards) < len(runs) or len({r.shape for r in rewards}) != 1:
            continue
        value = float(np.mean([statistic(r) for r in rewards]))
        points.append([step, value, *hierarchical_interval(rewards, statistic)])
    return points


def samples_per_problem(methods: dict[str, list[Run]], split: str) -> int | None:
    """k of the evaluations of a split, None where there are none."""
    for run in (run for runs in methods.values() for run in runs):
        for step in run.evaluations:
            found = run.rewards(step, split)
            if found is not None:
                return int(found[1].shape[1])
    return None


def _evaluation_charts(methods: dict[str, list[Run]]) -> list[Chart]:
    charts = []
    for split, name in SPLIT_NAMES.items():
        k = samples_per_problem(methods, split)
        if k is None:
            continue
        for label, statistic in (("Avg", avg_at_k), ("Pass", partial(pass_at_k, k=k))):
            series = [
                _series(method, colour, evaluation_points(runs, split, statistic))
                for colour, (method, runs) in enumerate(methods.items())
            ]
            note = f"{name}, band: 95 % bootstrap over problems and seeds"
            charts.append(_chart(f"{label}@{k}, {name}", note, series))
    return charts


def _metric_chart(methods: dict[str, list[Run]], key: str, title: str, note: str) -> Chart:
    series = [
        _series(method, colour, _seed_points(runs, key, smooth=key == "reward"))
        for colour, (method, runs) in enumerate(methods.items())
    ]
    if any(len(runs) > 1 for runs in methods.values()):
        note += "; band: range over seeds"
    return _chart(title, note, series)


def _kl_chart(method: str, runs: Sequence[Run]) -> Chart:
    lines = [
        ("P95", "credit/kl_p95", 2, ""),
        ("P75", "credit/kl_p75", 1, ""),
        ("P50", "credit/kl_p50", 0, ""),
        ("c", "credit/threshold_c", 5, "5 4"),
    ]
    series = [
        _series(label, colour, _seed_points(runs, key), dash=dash)
        for label, key, colour, dash in lines
    ]
    return _chart(f"Divergence D, {method}", "nats over active tokens, log scale", series, log=True)


def _stacked(
    method: str, runs: Sequence[Run], title: str, prefix: str, parts: Sequence[str], unit: str
) -> Chart:
    series = [
        _series(part.replace("_", " "), colour, [p[:2] for p in _seed_points(runs, prefix + part)])
        for colour, part in enumerate(parts)
    ]
    return _chart(f"{title}, {method}", unit, series, stacked=True)


def _seed_points(runs: Sequence[Run], key: str, *, smooth: bool = False) -> list[list[float]]:
    """[step, mean, lowest, highest] over the seeds that logged a step."""
    by_step: dict[int, list[float]] = {}
    for run in runs:
        rows = [(row["step"], row[key]) for row in run.metrics if row.get(key) is not None]
        values = _smoothed([v for _, v in rows]) if smooth else [v for _, v in rows]
        for (step, _), value in zip(rows, values, strict=True):
            by_step.setdefault(step, []).append(value)
    return [
        [step, float(np.mean(v)), *((min(v), max(v)) if len(runs) > 1 else ())]
        for step, v in sorted(by_step.items())
    ]


def _smoothed(values: list[float]) -> list[float]:
    """Centred moving mean, shorter at the ends."""
    half = SMOOTHING // 2
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def _series(label: str, colour: int, points: list[list[float]], *, dash: str = "") -> Series:
    rounded = [[p[0], *(_short(v) for v in p[1:])] for p in points]
    return {"label": label, "colour": colour, "dash": dash, "points": rounded}


def _chart(
    title: str, note: str, series: list[Series], *, log: bool = False, stacked: bool = False
) -> Chart:
    return {"title": title, "note": note, "series": series, "log": log, "stacked": stacked}


def _short(value: float) -> float | None:
    """Five significant digits; JSON has no NaN."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
