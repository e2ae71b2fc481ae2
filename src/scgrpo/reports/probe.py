"""One self-contained HTML page of a probe, from its results alone."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scgrpo.files import write_atomically
from scgrpo.probe.names import UNIFORM
from scgrpo.probe.results import read_results
from scgrpo.probe.verdict import number, with_interval
from scgrpo.reports.charts import Chart, chart, line, run_colour
from scgrpo.reports.page import _asset, _embeddable, _template

Facts = Mapping[str, Any]
ENDS = (1 / 8, 8.0)
"""Ends of the logarithmic scale on which a worth is drawn."""
CURVES = ("credit", "signed", "signed*credit", "reversed", "entropy", "inverse")
"""Weightings of the curves along a run."""
REFERENCE_NAMES = {
    "verified": "own verified rollout",
    "failed": "own failed rollout",
    "other": "verified rollout of another problem",
    "unrelated": "unrelated text of the same length",
    "entropy": "the student's entropy",
}


def write_probe(results_file: Path, output: Path) -> Path:
    """Write the page of a probe.

    Args:
        results_file: its `probe.json`.
        output: the HTML file.

    Returns:
        The file.

    Raises:
        ValueError: for a file that holds no results.
    """
    results = read_results(results_file)
    policies = results["policies"]
    html = _template("probe.html.j2").render(
        title=f"{Path(str(results['model'])).name} on {results['task']}",
        policies=[_policy(policy) for policy in policies],
        several=len(policies) > 1,
        css=_asset("report.css") + _asset("probe.css"),
        scripts=[_asset(f"{name}.js") for name in ("export", "charts", "probe", "report")],
        data=_embeddable(
            {
                "charts": _curves(policies),
                "rollouts": [],
                "probed": [
                    {
                        "policy": p["policy"],
                        "shown": p["shown"],
                        "weights": p["weights"],
                    }
                    for p in policies
                ],
            }
        ),
    )
    write_atomically(output, html)
    return output


def _policy(policy: Facts) -> dict[str, Any]:
    adam, sgd = policy["forms"]["adam"], policy["forms"]["sgd"]
    return {
        "name": policy["policy"],
        "verdict": list(policy["verdict"].items()),
        "facts": _facts(policy),
        "rows": [_row(name, policy) for name in adam["weightings"]],
        "one": round(_place(1.0), 1),
        "widths": [f"{width:,.0f}" for width in adam["widths"]],
        "by_width": [
            {"name": name, "cells": [number(k) for k in adam["k_by_width"][name]]}
            for name in adam["weightings"]
            if name != UNIFORM
        ],
        "coherence": (
            with_interval(adam["coherence"], ".3f"),
            with_interval(sgd["coherence"], ".3f"),
        ),
        "teacher": [_teacher(kind, policy) for kind in policy["teacher"]],
        "entropy": _spearman(policy["references"]["entropy"]),
        "kinds": _kinds(policy),
        "kind_weightings": _kind_weightings(policy),
    }


def _facts(policy: Facts) -> list[tuple[str, str]]:
    adam = policy["forms"]["adam"]
    groups = policy["groups"]
    return [
        ("Batches", f"{policy['batches']} of {policy['rollouts']} rollouts"),
        ("An optimizer step has", f"{policy['update_rollouts']:,} rollouts"),
        ("Noise scale, Adam", f"{with_interval(adam['noise_scale'], ',.0f')} rollouts"),
        ("Solved", f"{policy['solved']:.1%}"),
        ("Groups partly solved", f"{groups['partial']:.0%}"),
        ("Tokens a rollout", f"{policy['tokens']:.0f}"),
        (
            "Coordinates",
            f"{policy['coordinates']:,} of {policy['parameters']:,}"
            + (" of the adapter" if policy["adapter"] else ""),
        ),
        ("Time a batch", f"{policy['seconds_a_batch']:.1f} s"),
    ]


def _row(name: str, policy: Facts) -> dict[str, Any]:
    adam, sgd = (policy["forms"][form]["weightings"][name] for form in ("adam", "sgd"))
    weights = policy["weights"].get(name)
    return {
        "name": name,
        "adam": _cell(adam["k"]),
        "sgd": _cell(sgd["k"]),
        "r": with_interval(adam["r"]),
        "coherence": number(adam["coherence"]["value"], ".3f"),
        "cosine": with_interval(adam["cosine"]),
        "mean": "" if weights is None else f"{weights['mean']:.2f}",
        "effective": "" if weights is None else f"{weights['effective_share']:.0%}",
        "degenerate": "" if weights is None or name == UNIFORM else f"{weights['degenerate']:.0%}",
    }


def _cell(estimate: Facts) -> dict[str, Any]:
    low, high = (_float(estimate[end]) for end in ("low", "high"))
    value = _float(estimate["value"])
    shown: dict[str, Any] = {
        "value": number(estimate["value"]),
        "range": "" if low is None else f"{number(estimate['low'])} to {number(estimate['high'])}",
        "beyond": low is not None and high is not None and (low > 1 or high < 1),
        "drawn": value is not None and low is not None,
    }
    if shown["drawn"]:
        assert value is not None and low is not None and high is not None
        left = _place(low)
        shown |= {
            "left": round(left, 1),
            "width": round(_place(high) - left, 1),
            "at": round(_place(value), 1),
        }
    return shown


def _place(worth: float) -> float:
    """Per cent of the width at which a worth stands."""
    low, high = map(math.log, ENDS)
    inside = min(max(worth, ENDS[0]), ENDS[1])
    return 100 * (math.log(inside) - low) / (high - low)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _teacher(kind: str, policy: Facts) -> dict[str, Any]:
    teacher, reference = policy["teacher"][kind], policy["references"].get(kind, {})
    gaps = {
        family: with_interval(reference[family]["adam"], "+.2f")
        for family in ("credit", "signed")
        if family in reference
    }
    return {
        "name": REFERENCE_NAMES[kind],
        "auc": with_interval(teacher["auc"]),
        "pairs": f"{teacher['pairs']:,}",
        "trust": "" if teacher["trust"] is None else f"{teacher['trust']:.2f}",
        "spearman": "" if kind == "verified" else _spearman(reference),
        "credit": gaps.get("credit", ""),
        "signed": gaps.get("signed", ""),
    }


def _spearman(reference: Facts) -> str:
    return with_interval(reference["spearman"])


def _kind_weightings(policy: Facts) -> list[str]:
    return [n for n in ("credit", "signed", "entropy", "inverse") if n in policy["weights"]]


def _kinds(policy: Facts) -> list[dict[str, Any]]:
    return [
        {
            "name": kind,
            "tokens": f"{own['tokens']:.1%}",
            "gradient": "" if own["gradient"] is None else f"{own['gradient']:.1%}",
            "means": [
                number(policy["weights"][name]["by_kind"][kind])
                for name in _kind_weightings(policy)
            ],
        }
        for kind, own in policy["kinds"].items()
    ]


def _curves(policies: Sequence[Facts]) -> list[Chart]:
    """What each weighting, the noise and the teacher were along a run."""
    steps = [p for p in policies if p["step"] is not None]
    if len(steps) < 2:
        return []
    charts = []
    for form, name in (("adam", "Adam"), ("sgd", "plain gradients")):
        found = [(p["step"], p["forms"][form]["weightings"]) for p in steps]
        series = [
            line(
                weighting,
                run_colour(colour),
                _points((step, own[weighting]["r"]) for step, own in found),
            )
            for colour, weighting in enumerate(CURVES)
            if weighting in found[0][1]
        ]
        note = "r, alignment over that of uniform weights; band: 95 %"
        charts.append(chart(f"Alignment along the run, {name}", note, series))
    noise = [
        line(
            name,
            run_colour(colour),
            _points((p["step"], p["forms"][form]["noise_scale"]) for p in steps),
        )
        for colour, (form, name) in enumerate((("adam", "Adam"), ("sgd", "plain")))
    ]
    charts.append(chart("Gradient noise scale", "rollouts; band: 95 %", noise, log=True))
    known = [
        line(
            name, run_colour(colour), _points((p["step"], p["teacher"][kind]["auc"]) for p in steps)
        )
        for colour, (kind, name) in enumerate(REFERENCE_NAMES.items())
        if kind in steps[0]["teacher"]
    ]
    charts.append(chart("Does the teacher know?", "AUC within groups; band: 95 %", known))
    return [each for each in charts if any(one["points"] for one in each["series"])]


def _points(estimates: Iterable[tuple[int, Facts | None]]) -> list[list[float]]:
    """[step, value, low, high] where these are known and finite."""
    found = []
    for step, estimate in estimates:
        if estimate is None or estimate["value"] in (None, "inf"):
            continue
        ends = [estimate["low"], estimate["high"]]
        found.append([step, estimate["value"], *([] if {None, "inf"} & set(ends) else ends)])
    return found
