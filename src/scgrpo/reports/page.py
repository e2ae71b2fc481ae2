"""One self-contained HTML page from run folders."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from scgrpo.files import Row, write_atomically
from scgrpo.reports.charts import (
    SPLIT_NAMES,
    all_charts,
    evaluation_points,
    samples_per_problem,
    splits_of,
    statistics,
)
from scgrpo.reports.rollouts import chosen_rollouts, routes_of
from scgrpo.reports.runs import Run, by_method, load_runs

SCRIPTS = (
    *("charts.js", "export.js", "shading.js", "facts.js", "prompt.js", "strips.js", "tokens.js"),
    *("heatmap.js", "report.js"),
)


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
    write_atomically(output, whole_page(runs, chosen_rollouts(runs)))
    return output


def whole_page(runs: list[Run], chosen: Row, version: str | None = None) -> str:
    """The page as HTML.

    Args:
        runs: what it shows.
        chosen: their rollouts, of `chosen_rollouts`.
        version: of what the runs have written; a page with one asks its server for later ones.
    """
    return str(
        _template("report.html.j2").render(
            **_words(runs, chosen),
            live=version is not None,
            css=_asset("report.css") + _asset("rollouts.css"),
            scripts=[_asset(name) for name in (*SCRIPTS, *(["live.js"] if version else []))],
            data=_embeddable({"version": version, **page_data(runs, chosen)}),
        )
    )


def page_data(runs: list[Run], chosen: Row) -> Row:
    """What the scripts of the page draw."""
    thresholds = [run.solve_threshold for run in runs]
    names = [run.name for run in runs]
    return {"runs": names, "solved": thresholds, "charts": all_charts(by_method(runs)), **chosen}


def page_parts(runs: list[Run], chosen: Row) -> dict[str, str]:
    """The parts of the page that change as a run goes, by the id of their element."""
    words = _words(runs, chosen)
    return {name: _template(f"{name}.html.j2").render(**words) for name in ("summary", "shown")}


def _words(runs: list[Run], chosen: Row) -> Row:
    methods = by_method(runs)
    rollouts = chosen["rollouts"]
    return {
        "title": _title(runs, methods),
        "methods": [_method_facts(name, own, methods) for name, own in methods.items()],
        "seeded": any(len(own) > 1 for own in methods.values()),
        "shown": len(rollouts),
        "outlined": sum(rollout["tokens"] is None for rollout in rollouts),
        "logged": chosen["logged"],
        "routes": routes_of(rollouts),
        "notes": sorted({note for run in runs for note in run.notes}),
    }


def _title(runs: list[Run], methods: dict[str, list[Run]]) -> str:
    if len(runs) == 1:
        return runs[0].name
    return " and ".join(methods) if len(methods) < 3 else f"{len(methods)} methods compared"


def _method_facts(name: str, runs: list[Run], methods: dict[str, list[Run]]) -> dict[str, Any]:
    config = runs[0].config
    steps = max((row["step"] for run in runs for row in run.metrics), default=0)
    seeds = ", ".join(str(run.config.get("seed", "?")) for run in runs)
    times = [_seconds(run) for run in runs]
    facts = [
        ("Task", str(config.get("task") or "own data")),
        ("Model", Path(str(config.get("model", "?"))).name),
        ("Steps", f"{steps:,}"),
        ("Seeds" if len(runs) > 1 else "Seed", seeds),
        ("Time a seed" if len(runs) > 1 else "Time", _duration(sum(times) / len(times))),
    ]
    return {"name": name, "facts": facts, "results": _results(runs, methods)}


def _results(runs: list[Run], methods: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """Avg@k and Pass@k on the first split of these runs, before and after."""
    split = next(iter(splits_of({"": runs})), None)
    k = samples_per_problem(methods, split) if split else None
    if split is None or k is None:
        return []
    place = SPLIT_NAMES.get(split, split).capitalize()
    tiles = []
    for label, statistic in statistics(runs, k).items():
        points = evaluation_points(runs, split, statistic)
        if points:
            name = f"{place} {label}@{k}"
            tiles.append({"label": name, "ends": [_end(points[0]), _end(points[-1])]})
    return tiles


def _end(point: list[float]) -> dict[str, str]:
    step, value, low, high = point
    spread = f"{low:.3f} to {high:.3f}" if low == low else "one problem"
    return {"step": f"{step:,}", "value": f"{value:.3f}", "interval": spread}


def _seconds(run: Run) -> float:
    """Seconds of a run, the first step with it."""
    timed = [row for row in run.metrics if row.get("time") is not None]
    if not timed:
        return 0.0
    first, span = timed[0], timed[-1]["time"] - timed[0]["time"]
    steps = timed[-1]["step"] - first["step"]
    of_one = first.get("step_time") or (span / steps if steps else 0.0)
    return float(span + of_one * first["step"])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _embeddable(data: Any) -> str:
    """JSON that may stand inside a script element, whatever a token looks like."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _template(name: str) -> Any:
    environment = Environment(
        loader=PackageLoader("scgrpo.reports", "assets"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _asset(name: str) -> str:
    return files("scgrpo.reports").joinpath("assets", name).read_text(encoding="utf-8")
