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
SMOOTHING, LEAST_FOR_MEAN = 9, 20
"""Steps of a moving mean, and steps that a curve must have to get one."""
SMOOTHED = f"line: moving mean of {SMOOTHING} steps"
NAMED = 3
"""Runs of a method that a legend names at most."""
SPLIT_NAMES = {"heldout": "held-out", "ood": "out of distribution"}
PHASES = ("generate", "student_pass", "teacher_pass", "update")
ROUTES = ("plain", "partial", "none")


def all_charts(methods: dict[str, list[Run]]) -> list[Chart]:
    """Every chart that the runs have data for."""
    charts = [*_evaluation_charts(methods)]
    single = [
        ("reward", "Training reward", "mean of a step"),
        ("loss", "Loss", "around 0 whether it learns or not"),
        ("grad_norm", "Gradient norm", "before clipping"),
        ("entropy", "Entropy", "nats per token"),
        ("completions/mean_length", "Completion length", "tokens"),
        ("completions/clipped_ratio", "Clipped completions", "share cut at the longest length"),
        ("credit/weight_mean", "Mean weight f", "over active tokens"),
        ("credit/none_share", "Credit from unsolved groups", "share of |f A|"),
    ]
    charts += [_metric_chart(methods, *names) for names in single]
    for method, runs in methods.items():
        charts.append(_kl_chart(method, runs))
        charts.append(_stacked(method, runs, "Routes", "credit/route_", ROUTES, "share of groups"))
        charts.append(_stacked(method, runs, "Time of a step", "time/", PHASES, "seconds"))
    return [one for one in charts if any(s["points"] for s in one["series"])]


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


def splits_of(methods: dict[str, list[Run]]) -> list[str]:
    """Splits on which any run was evaluated: the embedded tasks' first, then `test`."""
    found = {split for runs in methods.values() for run in runs for _, split in run.evaluations}
    known = (*SPLIT_NAMES, "test")
    return [*filter(found.__contains__, known), *sorted(found - set(known))]


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
    note = f"band: 95 % interval over problems{' and seeds' if several else ''}"
    for split in splits_of(methods):
        k = samples_per_problem(methods, split)
        name = SPLIT_NAMES.get(split, split)
        for label in ("Avg", "Pass"):
            series = [
                line(label_of(method, runs), run_colour(place), points, mean=False)
                for place, (method, runs) in enumerate(methods.items())
                for points in [evaluation_points(runs, split, statistics(runs, k)[label])]
            ]
            charts.append(chart(f"{label}@{k}, {name}", note, series))
    return charts


def _metric_chart(methods: dict[str, list[Run]], key: str, title: str, note: str) -> Chart:
    series = [
        line(label_of(method, runs), run_colour(place), _seed_points(runs, key))
        for place, (method, runs) in enumerate(methods.items())
    ]
    if any(len(runs) > 1 for runs in methods.values()):
        note += "; band: range over seeds"
    return chart(title, with_mean(note, series), series)


def _kl_chart(method: str, runs: Sequence[Run]) -> Chart:
    lines = [
        ("P95", "credit/kl_p95", "p95", ""),
        ("P75", "credit/kl_p75", "p75", ""),
        ("P50", "credit/kl_p50", "p50", ""),
        ("c", "credit/threshold_c", "scale", "5 4"),
    ]
    series = [
        line(label, colour, _seed_points(runs, key), dash=dash, mean=False)
        for label, key, colour, dash in lines
    ]
    title = f"Divergence D, {label_of(method, runs)}"
    return chart(title, "nats over active tokens, log scale", series, log=True)


def _stacked(
    method: str, runs: Sequence[Run], title: str, prefix: str, parts: Sequence[str], unit: str
) -> Chart:
    series = []
    smooth = False
    for part in parts:
        points = [p[:2] for p in _seed_points(runs, prefix + part)]
        if prefix == "credit/route_" and len(points) >= LEAST_FOR_MEAN:
            values = smoothed([value for _, value in points])
            points = [[step, v] for (step, _), v in zip(points, values, strict=True)]
            smooth = True
        if any(value for _, value in points):
            colour = part.replace("_", "-")
            series.append(line(part.replace("_", " "), colour, points, mean=False))
    note = f"{unit}, {SMOOTHED}" if smooth else unit
    return chart(f"{title}, {label_of(method, runs)}", note, series, stacked=True)


def _seed_points(runs: Sequence[Run], key: str) -> list[list[float]]:
    """[step, mean, lowest, highest] over the seeds that logged a step."""
    by_step: dict[int, list[float]] = {}
    for run in runs:
        for row in run.metrics:
            if row.get(key) is not None:
                by_step.setdefault(row["step"], []).append(row[key])
    return [
        [step, float(np.mean(v)), *((min(v), max(v)) if len(runs) > 1 else ())]
        for step, v in sorted(by_step.items())
    ]


def label_of(method: str, runs: Sequence[Run]) -> str:
    """A method and its runs, as a legend names them."""
    names = [run.name for run in runs]
    if len(names) > NAMED:
        names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"]
    return f"{method}: {', '.join(names)}"


def run_colour(place: int) -> str:
    """The colour of the method at a place, apart from those of routes, percentiles and phases."""
    return f"c{place % 8}"


def smoothed(values: Sequence[float]) -> list[float]:
    """Centred moving mean, shorter at the ends."""
    half = SMOOTHING // 2
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def line(
    label: str, colour: str, points: list[list[float]], *, dash: str = "", mean: bool = True
) -> Series:
    """A line of [step, value] or [step, value, low, high], with its moving mean if it is long."""
    long = mean and len(points) >= LEAST_FOR_MEAN
    means = smoothed([p[1] for p in points]) if long else []
    return {
        "label": label,
        "colour": colour,
        "dash": dash,
        "points": [[p[0], *(_short(v) for v in p[1:])] for p in points],
        "mean": [[p[0], _short(v)] for p, v in zip(points, means, strict=False)],
    }


def with_mean(note: str, series: Sequence[Series]) -> str:
    """What a chart says of itself, with what its lines are."""
    return f"{note}; {SMOOTHED}" if any(one["mean"] for one in series) else note


def chart(
    title: str, note: str, series: list[Series], *, log: bool = False, stacked: bool = False
) -> Chart:
    """What the page draws."""
    return {"title": title, "note": note, "series": series, "log": log, "stacked": stacked}


def _short(value: float) -> float | None:
    """Five significant digits; JSON has no NaN."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
