"""Which rollouts the page carries, and in what form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scgrpo.reports.runs import Row, Run, read_rollouts, step_of

STEPS, GROUPS = 3, 4
"""Logged steps of each run, and groups of each step, that the page carries at most."""
TOP_TOKENS = 3


def chosen_rollouts(runs: Sequence[Run]) -> tuple[list[Row], int]:
    """Rollouts for the heatmap, and how many were logged in all.

    First, middle and last logged step of each run; of each of these, groups so chosen that every
    route appears and that top tokens, where there are any, come first.
    """
    chosen, logged = [], 0
    for number, run in enumerate(runs):
        files = run.rollout_files
        logged += sum(len(read_rollouts(file, ["group"])) for file in files)
        for file in _spread(files):
            chosen += [_compact(number, row) for row in _some_groups(file)]
    return chosen, logged


def _spread(files: list[Path]) -> list[Path]:
    if len(files) <= STEPS:
        return files
    last = len(files) - 1
    return [files[round(i * last / (STEPS - 1))] for i in range(STEPS)]


def _some_groups(file: Path) -> list[Row]:
    groups: dict[int, list[Row]] = {}
    for row in read_rollouts(file):
        groups.setdefault(row["group"], []).append(row)
    ordered = sorted(groups, key=lambda g: all(row["teacher_top"] is None for row in groups[g]))
    by_route: dict[str, list[int]] = {}
    for group in ordered:
        by_route.setdefault(groups[group][0]["route"], []).append(group)
    picked: list[int] = []
    while by_route and len(picked) < GROUPS:
        for route in [r for r in ("partial", "none", "plain") if r in by_route]:
            if len(picked) < GROUPS:
                picked.append(by_route[route].pop(0))
            if not by_route[route]:
                del by_route[route]
    rows = [row for group in picked for row in groups[group]]
    return [row | {"step": step_of(file)} for row in rows]


def _compact(run: int, row: Row) -> Row:
    has_kl = row["kl"] is not None
    return {
        "run": run,
        **{key: row[key] for key in ("step", "group", "index", "prompt", "route", "reference")},
        "referenceText": row["reference_text"],
        "reward": row["reward"],
        "advantage": _digits(row["advantage"], 5),
        "c": None if row["threshold_c"] is None else _digits(row["threshold_c"], 4),
        "tokens": row["tokens"],
        "written": "".join("1" if own else "0" for own in row["written"]),
        "kl": [_digits(v, 4) for v in row["kl"]] if has_kl else None,
        "weight": [_digits(v, 4) for v in row["weight"]] if has_kl else None,
        "student": _top(row["student_top"]),
        "teacher": _top(row["teacher_top"]),
    }


def _top(tokens: list[list[Row]] | None) -> list[list[Any]] | None:
    if tokens is None:
        return None
    return [
        [part for t in top[:TOP_TOKENS] for part in (t["token"], _digits(t["prob"], 3))]
        for top in tokens
    ]


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
