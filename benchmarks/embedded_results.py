"""What the comparisons found, put where it is shown: tables, figures, and a line for each preset.

    scgrpo compare --config examples/comparison/embedded.yaml     # runs/embedded/results.json
    scgrpo compare --config examples/comparison/axis.yaml         # runs/axis/results.json
    scgrpo compare --config examples/comparison/lookup.yaml       # runs/lookup/results.json
    scgrpo compare --config examples/comparison/axes.yaml         # runs/axes/results.json
    scgrpo compare --config examples/comparison/sgd.yaml          # runs/sgd/results.json
    scgrpo compare --config examples/comparison/cheaper.yaml      # runs/cheaper/results.json
    scgrpo compare --config examples/smollm2/compare.yaml         # runs/smollm2/compare
    python benchmarks/embedded_results.py --embedded runs/embedded --axis runs/axis \\
        --lookup runs/lookup --axes runs/axes --sgd runs/sgd --cheaper runs/cheaper \\
        --smollm2 runs/smollm2/compare

Without the options it works on the committed records in benchmarks/results.
"""

import argparse
import math
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from scgrpo.comparison.config import BASE
from scgrpo.evaluation.metrics import avg_at_k
from scgrpo.evaluation.seeds import problem_scores
from scgrpo.reports.rows import Row, matrices, read_results, rows
from scgrpo.reports.table import markdown, signed_range, with_range

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"
MACHINE = "x86_64, 2 cores, one thread a run, no GPU, torch 2.13.0"
COLOURS = {
    "grpo": "#555b66",
    "grpo-1e-4": "#9aa0a8",
    "dapo": "#c2500a",
    "reinforce++": "#00795a",
    "opsd": "#7a6a00",
    "opd": "#a64d83",
    "sc-grpo": "#0072b2",
    "sc-grpo-partial": "#0072b2",
    "sc-grpo-signed": "#00795a",
    "sc-grpo-signed-ungated": "#c2500a",
    "sc-grpo-signed-other": "#a64d83",
    "sc-grpo-sequence": "#7a6a00",
}
DISTILLED = ("opsd", "opd")
AVG, PASS = "Avg@8", "Pass@8"
LOGGED = {
    "AUC": ("credit/teacher_auc", ".2f"),
    "mean weight": ("credit/weight_mean", ".2f"),
    "D: P50": ("credit/kl_p50", ".4f"),
    "P75": ("credit/kl_p75", ".4f"),
    "P95": ("credit/kl_p95", ".2f"),
}
"""What a run logs, by head of its column: the key, and the format of its mean."""


def difference_figure(table: Sequence[Row], output: Path) -> None:
    """Held-out difference to the baseline of every method, with its interval."""
    figure, axis = plt.subplots(figsize=(8, 0.27 * len(table) + 0.92), layout="constrained")
    _differences(axis, table, "heldout", AVG)
    figure.savefig(output, dpi=130)
    plt.close(figure)


def curve_figure(results: Mapping[str, Any], methods: Sequence[str], output: Path) -> None:
    """Training reward and entropy of some methods, the range over seeds shaded."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    for axis, key, title in zip(
        axes, ("reward", "entropy"), ("training reward", "entropy, nats per token"), strict=True
    ):
        _curves(axis, results, methods, key, title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(output, dpi=130)
    plt.close(figure)


def outcome_figure(results: Mapping[str, Any], table: Sequence[Row], output: Path) -> None:
    """What each method has over the baseline: in training, and on the first held-out split."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
    of_baseline = {
        r["seed"]: np.array(r["curves"]["reward"])
        for r in results["runs"]
        if r["method"] == results["baseline"]
    }
    ahead = [
        r | {"curves": {"ahead": r["curves"]["reward"] - of_baseline[r["seed"]]}}
        for r in results["runs"]
        if r["seed"] in of_baseline
    ]
    compared = [m for m in results["groups"] if m != results["baseline"]]
    _curves(left, {"runs": ahead}, compared, "ahead", "training reward minus GRPO's, same problems")
    left.axhline(0, color="#555b66", lw=1)
    left.legend(frameon=False, fontsize=8)
    _differences(right, table, *_first_column(results))
    figure.savefig(output, dpi=130)
    plt.close(figure)


def _first_column(results: Mapping[str, Any]) -> tuple[str, str]:
    """The first split of the first task, and the metric of its samples."""
    task = next(iter(results["tasks"].values()))
    return next(iter(task["splits"])), f"Avg@{results['k']}"


def _differences(axis: Any, table: Sequence[Row], split: str, metric: str) -> None:
    shown = [row for row in table if row.cells[split, metric].difference is not None]
    for place, row in enumerate(shown):
        value, low, high = row.cells[split, metric].difference or (0, 0, 0)
        colour = "#0072b2" if low <= 0 <= high else "#c2500a"
        axis.plot([low, high], [place, place], color=colour, lw=2, solid_capstyle="round")
        axis.plot(value, place, "o", color=colour, ms=6)
    axis.axvline(0, color="#555b66", lw=1)
    axis.set_yticks(range(len(shown)), [f"{row.method} ({row.seeds})" for row in shown])
    axis.invert_yaxis()
    axis.set_xlabel(f"held-out {metric} minus GRPO, 95 % intervals (number of seeds)")
    _bare(axis)


def _curves(
    axis: Any, results: Mapping[str, Any], methods: Sequence[str], key: str, title: str
) -> None:
    for method in methods:
        colour = COLOURS[method]
        curves = [r["curves"][key] for r in results["runs"] if r["method"] == method]
        if not curves:
            continue
        shortest = min(map(len, curves))
        smooth = np.array([_smoothed(c[:shortest]) for c in curves])
        step = np.arange(1, shortest + 1)
        axis.plot(step, smooth.mean(0), color=colour, label=method, lw=1.8)
        axis.fill_between(step, smooth.min(0), smooth.max(0), color=colour, alpha=0.15, lw=0)
    axis.set(title=title, xlabel="step (moving mean of 9; band: range over seeds)")
    _bare(axis)


def gain_figure(
    results: Mapping[str, Any], table: Sequence[Row], output: Path, lowest: float | None = None
) -> None:
    """Gain of each method over the baseline along the axes of the tasks, two panels a line.

    Methods without a reward are far below the others and have a row of panels of their own; a gain
    below `lowest` is written at the edge.
    """
    names = list(dict.fromkeys(n for t in results["tasks"].values() for n in t["axis"]))
    compared = [m for m in results["groups"] if m != results["baseline"]]
    sets = [[m for m in compared if m not in DISTILLED], [m for m in compared if m in DISTILLED]]
    panels = [(methods, name) for methods in sets if methods for name in names]
    lines = (len(panels) + 1) // 2
    figure, axes = plt.subplots(
        lines, 2, figsize=(11, 3.2 * lines), layout="constrained", sharey="row", squeeze=False
    )
    for axis, (methods, name) in zip(axes.flat, panels, strict=True):
        values = {t: f["axis"][name] for t, f in results["tasks"].items() if name in f["axis"]}
        ordered = sorted(set(values.values()))
        places = {task: ordered.index(value) for task, value in values.items()}
        _gains(axis, places, methods, table, lowest)
        axis.set_xticks(range(len(ordered)), [f"{value:g}" for value in ordered])
        axis.set(xlabel=name, xlim=(-0.4, len(ordered) - 0.6))
    for row in axes:
        row[0].set_ylabel("held-out Avg@8 minus GRPO")
        handles = {h.get_label(): h for axis in row for h in axis.get_legend_handles_labels()[0]}
        row[-1].legend(handles.values(), handles, frameon=False, fontsize=9)
    figure.savefig(output, dpi=130)
    plt.close(figure)


def _gains(
    axis: Any,
    places: Mapping[str, int],
    methods: Sequence[str],
    table: Sequence[Row],
    lowest: float | None,
) -> None:
    for number, method in enumerate(methods):
        points = sorted(
            (places[row.task], *row.cells["heldout", AVG].difference)
            for row in table
            if row.method == method and row.task in places
            and row.cells["heldout", AVG].difference is not None
        )  # fmt: skip
        if points:
            x, value, low, high = np.array(points).T
            axis.errorbar(
                x + 0.05 * (number - (len(methods) - 1) / 2), value,
                [value - low, high - value], color=COLOURS[method], label=method,
                marker="o", ms=5, lw=1.6, elinewidth=1, capsize=2,
            )  # fmt: skip
        for place, value, *_ in points:
            if lowest is not None and value < lowest:
                axis.text(
                    place - 0.05, lowest, f"{value:+.2f} ", color=COLOURS[method],
                    ha="right", va="bottom",
                )  # fmt: skip
    axis.axhline(0, color="#555b66", lw=1)
    if lowest is not None:
        axis.set_ylim(bottom=lowest)
    _bare(axis)


def table_of(table: Sequence[Row]) -> str:
    """A short table: held-out and out-of-distribution Avg@8, differences, Pass@8."""
    heads = ["method", "seeds", "lr", f"held-out {AVG}", "minus GRPO", f"held-out {PASS}"]
    heads += [f"o.o.d. {AVG}", "minus GRPO"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in table:
        held, other = row.cells["heldout", AVG], row.cells["ood", AVG]
        rate = "" if row.learning_rate is None else f"{row.learning_rate:g}"
        cells = [row.method, "" if row.method == BASE else str(row.seeds), rate]
        cells += [with_range(held), signed_range(held), with_range(row.cells["heldout", PASS])]
        cells += [with_range(other), signed_range(other)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def outcome_table(results: Mapping[str, Any], table: Sequence[Row]) -> str:
    """What the figure shows in numbers: held-out score, training reward by halves, AUC, D."""
    split, metric = _first_column(results)
    heads = ["method", "seeds", f"held-out {metric}", "minus GRPO", "training reward, first half"]
    heads += ["second half", *LOGGED]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in table:
        runs = [r["curves"] for r in results["runs"] if r["method"] == row.method and "curves" in r]
        cell = row.cells[split, metric]
        cells = [f"`{row.method}`", str(len(runs) or ""), with_range(cell), signed_range(cell)]
        nothing = [[math.nan] * (len(LOGGED) + 2)]
        cells += _written(np.mean([_means_of(curves) for curves in runs] or nothing, axis=0))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def preset_line(table: Sequence[Row], methods: Sequence[str]) -> str:
    """*Results here* of some presets."""
    said = []
    by_name = {row.method: row for row in table}
    for method in methods:
        if method in by_name:
            row = by_name[method]
            cell = row.cells["heldout", AVG]
            pair = f", {signed_range(cell)} to GRPO" if cell.difference else ""
            name = f"`{method}` " if len(methods) > 1 else ""
            said.append(f"{name}{with_range(cell)}{pair} ({row.seeds} seeds)")
    return f"*Results here* (held-out {AVG}): {'; '.join(said)}."


def seed_lines(results: Mapping[str, Any]) -> str:
    """Held-out Avg@k of every seed, for the reader who does not trust intervals of few seeds."""
    lines = [f"| task | method | seed: held-out Avg@{results['k']} |", "|---|---|---|"]
    for task, method in product(results["tasks"], results["groups"]):
        runs = [r for r in results["runs"] if (r["task"], r["method"]) == (task, method)]
        if runs:
            split = next(iter(results["tasks"][task]["splits"]))
            scores = problem_scores(matrices(runs, split), avg_at_k).mean(axis=1)
            cells = ", ".join(f"{r['seed']}: {s:.3f}" for r, s in zip(runs, scores, strict=True))
            lines.append(f"| {task} | {method} | {cells} |")
    return "\n".join(lines)


def run_lines(results: Mapping[str, Any]) -> str:
    """Of every run: mean reward over each half of its steps, and the means of what was logged."""
    heads = ["method", "seed", "reward, first half", "second half", *LOGGED]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for run in results["runs"]:
        if curves := run.get("curves"):
            cells = [run["method"], str(run["seed"]), *_written(_means_of(curves))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _means_of(curves: Mapping[str, Sequence[float]]) -> list[float]:
    """Mean reward of each half of a run, and the means of what is in `LOGGED`; nan for none."""
    halves = [half.mean() for half in np.array_split(curves["reward"], 2)]
    return halves + [np.mean(curves[k]) if k in curves else np.nan for k, _ in LOGGED.values()]


def _written(means: Iterable[float]) -> list[str]:
    forms = (".3f", ".3f", *(form for _, form in LOGGED.values()))
    return ["" if np.isnan(m) else f"{m:{f}}" for m, f in zip(means, forms, strict=True)]


def fill(path: Path, render: Callable[[list[str]], str]) -> None:
    """Replace what follows each `<!-- result WORDS -->` up to a blank line or `<!-- end -->`."""
    pattern = re.compile(r"<!-- result (.*?) -->\n(?:.*?<!-- end -->\n)?", re.DOTALL)

    def replaced(found: re.Match[str]) -> str:
        words = found[1]
        return f"<!-- result {words} -->\n{render(words.split())}\n<!-- end -->\n"

    path.write_text(pattern.sub(replaced, path.read_text()))


def _smoothed(values: Sequence[float], half: int = 4) -> list[float]:
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def _bare(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embedded", type=Path, help="folder of the comparison of all presets")
    parser.add_argument("--axis", type=Path, help="folder of the comparison along the axes")
    parser.add_argument("--lookup", type=Path, help="folder of the comparison on the agent task")
    parser.add_argument("--axes", type=Path, help="folder of the comparison of axes.yaml")
    parser.add_argument("--sgd", type=Path, help="folder of the comparison of sgd.yaml")
    parser.add_argument("--smollm2", type=Path, help="folder of examples/smollm2's comparison")
    parser.add_argument("--cheaper", type=Path, help="folder of the comparison of savings")
    options = parser.parse_args()
    for name in ("embedded", "axis", "lookup", "axes", "sgd", "smollm2", "cheaper"):
        if folder := getattr(options, name):
            shutil.copy(folder / "results.json", RECORDS / f"{name}.json")
    show_embedded()
    show_lookup()
    show_axis()
    show_axes()
    _recorded("cheaper")
    show_smollm2()


def show_embedded() -> None:
    """All presets on the embedded task: results, presets."""
    results, table = _recorded("embedded")
    main_methods = [m for m, group in results["groups"].items() if group == "table"]
    difference_figure(table, DOCS / "embedded_differences.png")
    curve_figure(results, main_methods, DOCS / "embedded_curves.png")
    fill(DOCS / "presets.md", lambda methods: preset_line(table, methods))
    fill(DOCS / "results.md", lambda _: table_of(table))


def show_lookup() -> None:
    """Episodes of several turns: the agent task's page."""
    results, table = _recorded("lookup")
    curve_figure(results, list(results["groups"]), DOCS / "tasks" / "lookup_curves.png")
    fill(DOCS / "tasks" / "lookup.md", lambda _: table_of(table))


def show_axis() -> None:
    """The gain over GRPO along the share of wording and the number of additions."""
    results, table = _recorded("axis")
    gain_figure(results, table, DOCS / "gain_axis.png")


def show_axes() -> None:
    """The gain over GRPO along batch, learning rate and LoRA, and under plain gradients."""
    results, table = _recorded("axes")
    plain, plain_table = _recorded("sgd")
    results["tasks"] |= plain["tasks"]
    gain_figure(results, [*table, *plain_table], DOCS / "gain_axes.png", lowest=-0.15)


def show_smollm2() -> None:
    """The real model: held-out accuracy, and the reward on the way."""
    results, table = _recorded("smollm2")
    outcome_figure(results, table, DOCS / "outcome_smollm2.png")
    fill(ROOT / "examples/smollm2/README.md", lambda _: outcome_table(results, table))
    path = RECORDS / "smollm2.md"
    path.write_text(f"{path.read_text()}\n{run_lines(results)}\n")


def _recorded(name: str) -> tuple[dict[str, Any], list[Row]]:
    """Committed results, their table written beside them."""
    results = read_results(RECORDS / f"{name}.json")
    table = rows(results)
    text = markdown(results, table, MACHINE) + "\n" + seed_lines(results) + "\n"
    (RECORDS / f"{name}.md").write_text(text)
    return results, table


if __name__ == "__main__":
    main()
