"""What the charts show: series of points and bands, ready to be drawn."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from scgrpo.evaluation.metrics import Rewards, Statistic, avg_at_k, pass_at_k
from scgrpo.evaluation.seeds import seeded_interval
from scgrpo.reports.runs import Evaluation, Run

Chart = dict[str, Any]
Series = dict[str, Any]
SMOOTHING = 9
SMOOTHED = f"moving mean of {SMOOTHING} steps"
SPLIT_NAMES = {"heldout": "held-out", "ood": "out of distribution"}
PHASES = ("generate", "student_pass", "teacher_pass", "update")
ROUTES = ("plain", "partial", "none")


def all_charts(methods: dict[str, list[Run]]) -> list[Chart]:
    """Every chart that the runs have data for."""
    charts = [*_evaluation_charts(methods)]
    single = [
        ("reward", "Training reward", SMOOTHED),
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


def evaluation_points(runs: Sequence[Run], split: str, statistic: Statistic) -> list[list[float]]:
    """[step, value, low, high] at each step at which all evaluated runs of a method were."""
    by_run = [
        {step: found for (step, name), found in run.evaluations.items() if name == split}
        for run in runs
    ]
    evaluated = [one for one in by_run if one]
    if not evaluated:
        return []
    points = []
    for step in sorted(set.intersection(*map(set, evaluated))):
        rewards = _aligned([one[step] for one in evaluated])
        if rewards:
            value = float(np.mean([statistic(matrix) for matrix in rewards]))
            points.append([step, value, *seeded_interval(rewards, statistic)])
    return points


def _aligned(evaluations: Sequence[Evaluation]) -> list[Rewards]:
    """Rewards of the same problems in the same order; none where problems or samples differ."""
    first, like = evaluations[0]
    rewards = []
    for ids, matrix in evaluations:
        place = {problem: row for row, problem in enumerate(ids)}
        if set(place) != set(first) or matrix.shape != like.shape:
            return []
        rewards.append(matrix[[place[problem] for problem in first]])
    return rewards


def samples_per_problem(methods: dict[str, list[Run]], split: str) -> int | None:
    """k of the evaluations of a split, the smallest of all; None where there are none."""
    ks = [
        matrix.shape[1]
        for runs in methods.values()
        for run in runs
        for (_, name), (_, matrix) in run.evaluations.items()
        if name == split
    ]
    return min(ks, default=None)


def statistics(runs: Sequence[Run], k: int) -> dict[str, Statistic]:
    """Avg and Pass@k, solved being what these runs of one method count as solved."""
    solved = partial(pass_at_k, k=k, solve_threshold=runs[0].solve_threshold)
    return {"Avg": avg_at_k, "Pass": solved}


def _evaluation_charts(methods: dict[str, list[Run]]) -> list[Chart]:
    charts = []
    several = any(len(runs) > 1 for runs in methods.values())
    note = f"band: 95 % bootstrap over problems{' and seeds' if several else ''}"
    for split, name in SPLIT_NAMES.items():
        k = samples_per_problem(methods, split)
        if k is None:
            continue
        for label in ("Avg", "Pass"):
            series = [
                _series(method, colour, evaluation_points(runs, split, statistics(runs, k)[label]))
                for colour, (method, runs) in enumerate(methods.items())
            ]
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
    smooth = prefix == "credit/route_"
    series = []
    for colour, part in enumerate(parts):
        points = [p[:2] for p in _seed_points(runs, prefix + part, smooth=smooth)]
        if any(value for _, value in points):
            series.append(_series(part.replace("_", " "), colour, points))
    note = f"{unit}, {SMOOTHED}" if smooth else unit
    return _chart(f"{title}, {method}", note, series, stacked=True)


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
