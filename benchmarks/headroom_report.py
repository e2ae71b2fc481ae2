"""What the grid and the runs of docs/headroom.md found: tables, figures, committed records.

    python -m benchmarks.headroom_report --headroom runs/headroom --prediction runs/prediction

Without the options it works on the committed records in benchmarks/results.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from benchmarks.embedded_results import DOCS, RECORDS, _bare, fill
from benchmarks.headroom import GRID, ORACLES, SUSPICIONS, blame_of
from benchmarks.prediction import EARLY, RUNS, SEEDS, SETTINGS, STEPS, curve_of
from numpy.typing import NDArray

from scgrpo.files import write_atomically

PAGE = DOCS / "headroom.md"
COLOURS = {
    "oracle-steps": "#9aa0a8",
    "oracle-until-error": "#7a6a00",
    "oracle-decisive": "#c2500a",
    "credit": "#0072b2",
    "signed": "#00795a",
    "signed*credit": "#a64d83",
    "entropy": "#555b66",
}
MARKERS = dict(zip(SETTINGS, "os^", strict=True))
FEW_POINTS = 5
LEAST_K, MOST_K = 0.2, 16
"""Ends of the axis of worths; what lies beyond is drawn at the end."""
Facts = dict[str, Any]
Curve = dict[str, list[float]]


def collect_headroom(folder: Path) -> Facts:
    """What the probe of each setting that is there says."""
    found = {}
    for name in GRID:
        path = folder / name / "probe.json"
        if path.exists():
            policy = json.loads(path.read_text())["policies"][0]
            found[name] = probed(policy) | {
                key: policy[key] for key in ("batches", "rollouts", "solved", "groups", "tokens")
            }
            found[name]["blame"] = blame_of(folder / name, policy["batches"])
    return found


def probed(policy: Mapping[str, Any]) -> Facts:
    """Worth and r of each weighting under both forms, noise scale and AUC."""
    return {
        "noise_scale": policy["forms"]["adam"]["noise_scale"],
        "auc": policy["teacher"]["verified"]["auc"],
        **{
            form: {
                name: {key: own[key] for key in ("k", "r", "coherence")}
                for name, own in policy["forms"][form]["weightings"].items()
            }
            for form in ("adam", "sgd")
        },
    }


def collect_prediction(folder: Path) -> Facts:
    """Scores by problem of every finished run, and the probes along them."""
    found: Facts = {}
    for setting in SETTINGS:
        runs = {}
        for weighting in RUNS:
            for seed in SEEDS:
                run = folder / setting / f"{weighting.replace('*', 'x')}-s{seed}"
                if (run / "eval").is_dir():
                    path = run / "probe" / "probe.json"
                    along = json.loads(path.read_text())["policies"] if path.exists() else []
                    runs.setdefault(weighting, {})[str(seed)] = {
                        "curve": curve_of(run),
                        "along": {str(p["step"]): probed(p) for p in along},
                    }
        if runs:
            found[setting] = runs
    return found


def number(value: Any) -> float:
    """A number of probe.json: null is NaN, `inf` infinity."""
    return float("nan") if value is None else float(value)


def worth(estimate: Mapping[str, Any]) -> str:
    """A worth with its interval."""
    value, low, high = (number(estimate[key]) for key in ("value", "low", "high"))
    told = "not to be told" if np.isnan(low) else f"{low:.2f}, {high:.2f}"
    return f"{value:.2f} [{told}]"


def grid_table(found: Facts) -> str:
    """One row a setting, worth under Adam of oracles and of what a method could have."""
    names = [*ORACLES, "credit", "signed", "signed*credit", "entropy"]
    heads = ["setting", "batches", "tokens", "Avg@8", "noise scale", "AUC", *names]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, own in found.items():
        cells = [name, str(own["batches"]), f"{own['tokens']:.0f}", f"{own['solved']:.2f}"]
        cells += [f"{number(own['noise_scale']['value']):.0f}"]
        cells += ["" if own["auc"] is None else f"{number(own['auc']['value']):.2f}"]
        cells += [worth(own["adam"][weighting]["k"]) for weighting in names]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def blame_table(found: Facts) -> str:
    """How often a suspicion names the first wrong sum of a failed rollout."""
    heads = ["setting", "failed rollouts", *(f"{name}" for name in SUSPICIONS)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, own in found.items():
        blame = own["blame"]
        if blame["rollouts"]:
            cells = [" / ".join(f"{share:.0%}" for share in blame[one]) for one in SUSPICIONS]
            lines.append(f"| {' | '.join([name, str(blame['rollouts']), *cells])} |")
    return "\n".join(lines)


def grid_figure(found: Facts, output: Path) -> None:
    """The map: worth under Adam of the oracles and of what a method could have, by setting."""
    figure, axis = plt.subplots(figsize=(9, 1.15 * len(found) + 1.6), layout="constrained")
    for row, own in enumerate(found.values()):
        for place, (weighting, colour) in enumerate(COLOURS.items()):
            k = own["adam"][weighting]["k"]
            value, low, high = (number(k[key]) for key in ("value", "low", "high"))
            y = row + 0.11 * (place - (len(COLOURS) - 1) / 2)
            if not np.isnan(low):
                axis.plot(np.clip([low, high], LEAST_K, MOST_K), [y, y], color=colour, lw=1.6)
            label = weighting if row == 0 else None
            axis.plot(np.clip(value, LEAST_K, MOST_K), y, "o", color=colour, ms=6, label=label)
    axis.axvline(1, color="#555b66", lw=1)
    axis.axvline(1.5, color="#555b66", lw=1, ls=":")
    axis.set_xscale("log")
    ticks = [0.2, 0.5, 1, 1.5, 2, 4, 8, 16]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks(range(len(found)), [f"{n}\nAvg@8 {f['solved']:.2f}" for n, f in found.items()])
    axis.invert_yaxis()
    axis.set_xlabel(
        "worth under Adam, times the rollouts (95 % over batches; below 0.2: at the edge)"
    )
    figure.legend(loc="outside right center", frameon=False)
    _bare(axis)
    figure.savefig(output, dpi=130)
    plt.close(figure)


def steps_to(curve: Mapping[str, Sequence[float]], goal: float) -> float:
    """Step at which Avg@8 reaches a goal, between evaluations along a line; NaN if never."""
    steps = sorted(map(int, curve))
    values = [float(np.mean(curve[str(step)])) for step in steps]
    for (s, a), (t, b) in zip(
        zip(steps, values, strict=True), zip(steps[1:], values[1:], strict=True), strict=False
    ):
        if a >= goal:
            return float(s)
        if b >= goal:
            return s + (t - s) * (goal - a) / (b - a)
    return float("nan")


def points(grid: Facts, prediction: Facts, last: int) -> list[Facts]:
    """One point for each weighting and setting: worth at the base, and what came of it.

    Args:
        grid: probes of the bases.
        prediction: runs.
        last: step at which they are held against uniform weights; runs that lack it are left out.
    """
    found = []
    for setting, runs in prediction.items():
        if setting not in grid or "uniform" not in runs:
            continue
        usual = runs["uniform"]
        for weighting, own in runs.items():
            seeds = [s for s in sorted(own) if _has(own, s, last) and _has(usual, s, last)]
            if not seeds:
                continue
            k = 1.0
            if weighting != "uniform":
                k = number(grid[setting]["adam"][weighting]["k"]["value"])
            early, final = (
                np.mean([np.mean(_at(own, s, step) - _at(usual, s, step)) for s in seeds])
                for step in (EARLY, last)
            )
            base, end = (np.mean([np.mean(_at(usual, s, t)) for s in seeds]) for t in (0, last))
            reached = [steps_to(own[s]["curve"], (base + end) / 2) for s in seeds]
            found.append(
                {
                    "setting": setting,
                    "weighting": weighting,
                    "k": k,
                    "along": worths_along(usual, weighting),
                    "seeds": len(seeds),
                    "early": float(early),
                    "final": float(final),
                    "avg": [float(np.mean(_at(own, s, last))) for s in seeds],
                    "steps": reached,
                }
            )
    return found


def worths_along(usual: Mapping[str, Any], weighting: str) -> dict[str, float]:
    """Worth of a weighting on the probed checkpoints of a run with uniform weights, by step."""
    told = {step: p["adam"] for run in usual.values() for step, p in run["along"].items()}
    return {
        step: number(own[weighting]["k"]["value"]) for step, own in told.items() if weighting in own
    }


def _has(runs: Mapping[str, Any], seed: str, step: int) -> bool:
    return seed in runs and str(step) in runs[seed]["curve"]


def _at(runs: Mapping[str, Any], seed: str, step: int) -> NDArray:
    return np.array(runs[seed]["curve"][str(step)])


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Spearman's, with a 95 % percentile bootstrap over points."""
    a, b = np.array(x), np.array(y)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(a), len(a)) for _ in range(500)]
    values = [_rho(a[i], b[i]) for i in drawn]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return _rho(a, b), float(low), float(high)


def _rho(a: NDArray, b: NDArray) -> float:
    ranks = [_ranks(side) for side in (a, b)]
    if min(np.ptp(side) for side in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: NDArray) -> NDArray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def prediction_table(found: Sequence[Facts], last: int) -> str:
    """One row for each weighting and setting."""
    heads = ["setting", "weighting", "seeds", "worth at the base", "steps to half of GRPO's gain"]
    heads += [f"Avg@8 minus GRPO, step {EARLY}", f"the same, step {last}", f"Avg@8 at {last}"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for one in found:
        steps = ", ".join("never" if np.isnan(s) else f"{s:.0f}" for s in one["steps"])
        cells = [one["setting"], one["weighting"], str(one["seeds"]), f"{one['k']:.2f}", steps]
        cells += [f"{one['early']:+.3f}", f"{one['final']:+.3f}"]
        cells += [", ".join(f"{value:.3f}" for value in one["avg"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def correlation_line(found: Sequence[Facts], last: int) -> str:
    """Rank correlations over all points but uniform's."""
    own = [one for one in found if one["weighting"] != "uniform"]
    if len(own) < FEW_POINTS:
        return f"{len(own)} points beside GRPO: too few for a correlation or a figure."
    runs = sum(one["seeds"] for one in found)
    lines = [
        f"Spearman's rank correlation with the gain over GRPO ({runs} runs, 95 % over points):\n",
        f"| worth | points | step {EARLY} | step {last} |",
        "|---|---|---|---|",
        _correlations("at the base", own, [one["k"] for one in own]),
    ]
    for step in (str(EARLY), str(last)):
        probed = [one for one in own if step in one["along"]]
        if len(probed) >= FEW_POINTS:
            worths = [one["along"][step] for one in probed]
            lines.append(_correlations(f"at step {step} of a run of GRPO", probed, worths))
    return "\n".join([*lines, "\n![Worth at the base against the gain of runs](prediction.png)"])


def _correlations(what: str, own: Sequence[Facts], worths: Sequence[float]) -> str:
    """A row: the rank correlation of worths with the gains at both steps."""
    cells = [what, str(len(own))]
    for key in ("early", "final"):
        rho, low, high = rank_correlation(worths, [one[key] for one in own])
        cells.append(f"{rho:+.2f} [{low:+.2f}, {high:+.2f}]")
    return f"| {' | '.join(cells)} |"


def prediction_figure(found: Sequence[Facts], last: int, output: Path) -> None:
    """Worth at the base against what the runs gained, early and at their end."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
    for axis, key, step in zip(axes, ("early", "final"), (EARLY, last), strict=True):
        for one in found:
            x = float(np.clip(one["k"], LEAST_K, MOST_K))
            colour = COLOURS.get(one["weighting"], "#9aa0a8")
            axis.plot(x, one[key], MARKERS[one["setting"]], color=colour, ms=7)
            axis.annotate(
                one["weighting"], (x, one[key]), xytext=(6, 4), textcoords="offset points",
                fontsize=8, color="#333333",
            )  # fmt: skip
        axis.axhline(0, color="#555b66", lw=1)
        axis.axvline(1, color="#555b66", lw=1)
        axis.set(title=f"step {step}", xscale="log", xlabel="worth at the base, Adam")
        ticks = [0.2, 0.5, 1, 2, 4, 8]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        _bare(axis)
    axes[0].set_yscale("symlog", linthresh=0.1, linscale=2)  # one ruined policy hides no other
    ticks = [-0.5, -0.2, -0.1, -0.05, 0, 0.05, 0.1]
    axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0].set_ylabel("held-out Avg@8 minus GRPO")
    present = dict.fromkeys(one["setting"] for one in found)
    handles = [plt.Line2D([], [], ls="", marker=MARKERS[s], color="#555b66") for s in present]
    axes[1].legend(handles, present, frameon=False, fontsize=9)
    figure.savefig(output, dpi=130)
    plt.close(figure)


def along_table(prediction: Facts) -> str:
    """Worth of weightings at the middle and end of runs."""
    names = ["credit", "signed", "reversed", *ORACLES]
    heads = ["setting", "run of", "step", "AUC", *names]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for setting, runs in prediction.items():
        for weighting, own in runs.items():
            for seed, run in own.items():
                for step, told in run["along"].items():
                    auc = "" if told["auc"] is None else f"{number(told['auc']['value']):.2f}"
                    cells = [setting, f"{weighting}, seed {seed}", step, auc]
                    cells += [worth(told["adam"][name]["k"]) for name in names]
                    lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else "No run was probed yet."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--headroom", type=Path, help="folder of benchmarks/headroom.py")
    parser.add_argument("--prediction", type=Path, help="folder of benchmarks/prediction.py")
    parser.add_argument("--steps", type=int, default=STEPS, help="at which runs are compared")
    options = parser.parse_args()
    kept = {"headroom": RECORDS / "headroom.json", "prediction": RECORDS / "prediction.json"}
    for name, collect in (("headroom", collect_headroom), ("prediction", collect_prediction)):
        if folder := getattr(options, name):
            write_atomically(kept[name], json.dumps(collect(folder), indent=1) + "\n")
    grid, prediction = (
        json.loads(path.read_text()) if path.exists() else {} for path in kept.values()
    )
    found = points(grid, prediction, options.steps)
    tables = {
        "grid": lambda: grid_table(grid),
        "blame": lambda: blame_table(grid),
        "prediction": lambda: prediction_table(found, options.steps),
        "correlation": lambda: correlation_line(found, options.steps),
        "along": lambda: along_table(prediction),
    }
    grid_figure(grid, DOCS / "headroom.png")
    if len(found) > FEW_POINTS:
        prediction_figure(found, options.steps, DOCS / "prediction.png")
    fill(PAGE, lambda words: tables[words[0]]())


if __name__ == "__main__":
    main()
