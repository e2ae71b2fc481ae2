"""One self-contained HTML page from run folders."""

import json
import os
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from scgrpo.evaluation.metrics import avg_at_k, pass_at_k
from scgrpo.reports.charts import all_charts, evaluation_points, samples_per_problem
from scgrpo.reports.rollouts import chosen_rollouts
from scgrpo.reports.runs import Run, by_method, load_runs

Tile = dict[str, str]


def write_report(run_folders: Sequence[Path], output: Path) -> Path:
    """Write the report of one run, or of several side by side.

    Runs of the same method count as its seeds. The page needs no network and no other file.

    Args:
        run_folders: folders that `scgrpo train` wrote.
        output: the HTML file.

    Returns:
        The file.

    Raises:
        ValueError: if a folder holds no run.
    """
    runs = load_runs(run_folders)
    methods = by_method(runs)
    charts = all_charts(methods)
    rollouts, logged = chosen_rollouts(runs)
    data = {
        "runs": [{"name": run.name, "method": run.method} for run in runs],
        "charts": charts,
        "rollouts": rollouts,
    }
    html = _template().render(
        title=" and ".join(methods),
        methods=[_method_facts(name, own, methods) for name, own in methods.items()],
        shown=len(rollouts),
        logged=logged,
        notes=sorted({note for run in runs for note in run.notes}),
        css=_asset("report.css"),
        scripts=[_asset("charts.js"), _asset("heatmap.js"), _asset("report.js")],
        data=_embeddable(data),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    partial_file = output.with_name(output.name + ".tmp")
    partial_file.write_text(html, encoding="utf-8")
    os.replace(partial_file, output)
    return output


def _method_facts(name: str, runs: list[Run], methods: dict[str, list[Run]]) -> dict[str, Any]:
    config = runs[0].config
    rows = [run.metrics for run in runs]
    steps = max((row["step"] for own in rows for row in own), default=0)
    seeds = ", ".join(str(run.config.get("seed", "?")) for run in runs)
    facts = [
        ("Task", str(config.get("task", "?"))),
        ("Model", Path(str(config.get("model", "?"))).name),
        ("Steps", str(steps)),
        ("Seeds" if len(runs) > 1 else "Seed", seeds),
        ("Time", _duration(sum(own[-1]["time"] - own[0]["time"] for own in rows if own))),
    ]
    return {"name": name, "facts": facts, "results": _results(runs, methods)}


def _results(runs: list[Run], methods: dict[str, list[Run]]) -> list[Tile]:
    """Held-out Avg@k and Pass@k, before -> after."""
    k = samples_per_problem(methods, "heldout")
    if k is None:
        return []
    tiles = []
    for label, statistic in (("Avg", avg_at_k), ("Pass", partial(pass_at_k, k=k))):
        points = evaluation_points(runs, "heldout", statistic)
        if points:
            tiles.append(
                {
                    "label": f"Held-out {label}@{k}",
                    "before": f"{points[0][1]:.3f}",
                    "after": f"{points[-1][1]:.3f}",
                    "interval": f"{points[-1][2]:.3f} to {points[-1][3]:.3f}",
                    "step": str(points[-1][0]),
                }
            )
    return tiles


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _embeddable(data: Any) -> str:
    """JSON that may stand inside a script element, whatever a token looks like."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("scgrpo.reports", "assets"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _asset(name: str) -> str:
    return files("scgrpo.reports").joinpath("assets", name).read_text(encoding="utf-8")
