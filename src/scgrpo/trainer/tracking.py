"""Rollouts for the trackers of `report_to`: a heatmap, a table, histograms."""

import html
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from transformers.integrations import TensorBoardCallback

from scgrpo.mistakes import ConfigError
from scgrpo.trainer.records import Record

TRACKERS = {"wandb": "wandb", "trackio": "trackio", "tensorboard": "tensorboard"}
"""By their name in `report_to`, what is imported of them."""
HEATMAP_GROUPS, HEATMAP_ROLLOUTS, HEATMAP_TOKENS = 3, 24, 2000
"""Of a logged step in the heatmap, at most; tokens of each rollout."""
DARKEST = 0.7
"""Opacity of the largest f: dark text on it can still be read."""
ROWS, SHOWN = 64, 12
"""Rollouts in a table at most; and in TensorBoard's, which is text."""
COLUMNS = (
    *("step", "group", "index", "prompt", "completion", "reward", "route"),
    *("effective advantage", "mean weight"),
)


def check_trackers(report_to: str | Sequence[str] | None) -> None:
    """Refuse a tracker that is not installed, before a model is loaded.

    Raises:
        ConfigError: with what installs it.
    """
    for name in [report_to] if isinstance(report_to, str) else report_to or ():
        if name in TRACKERS and find_spec(TRACKERS[name]) is None:
            raise ConfigError(
                f"report_to names {name}, which is not installed; pip install {TRACKERS[name]}, or "
                "leave it out of report_to."
            )


def track(
    report_to: Sequence[str], callbacks: Sequence[Any], step: int, records: Sequence[Record]
) -> None:
    """Hand the rollouts of a step to each tracker.

    Args:
        report_to: names of trackers; those that are none of `TRACKERS` are left alone.
        callbacks: of the trainer, the one of TensorBoard with its writer among them.
        step: optimizer step.
        records: its rollouts, as `rollout_records` gives them.
    """
    if not records:
        return
    if "wandb" in report_to:
        run = import_module("wandb").run
        if run is not None:
            run.log(_rich("wandb", records) | {"train/global_step": step})
    if "trackio" in report_to:
        import_module("trackio").log(_rich("trackio", records), step=step)
    if "tensorboard" in report_to:
        for callback in callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                _to_tensorboard(callback.tb_writer, step, records)


def _rich(name: str, records: Sequence[Record]) -> dict[str, Any]:
    tracker = import_module(name)
    rows = [list(row.values()) for row in table(records)[:ROWS]]
    return {
        "rollouts/heatmap": tracker.Html(heatmap(records)),
        "rollouts/table": tracker.Table(columns=list(COLUMNS), data=rows),
        **{k: tracker.Histogram(v) for k, v in histograms(records).items()},
    }


def _to_tensorboard(writer: Any, step: int, records: Sequence[Record]) -> None:
    for name, values in histograms(records).items():
        writer.add_histogram(name, np.array(values), step)
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in table(records)[:SHOWN]:
        lines.append("| " + " | ".join(_cell(value) for value in row.values()) + " |")
    writer.add_text("rollouts/table", "\n".join(lines), step)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return html.escape(text).replace("|", "&#124;").replace("\n", "<br>")


def table(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One row a rollout, of the columns `COLUMNS`.

    The effective advantage is the mean of f A over the tokens that the model wrote, the mean weight
    that of f.
    """
    rows = []
    for record in records:
        own = [i for i, written in enumerate(record["written"]) if written]
        advantages = record.get("token_advantage") or [record["advantage"]] * len(record["written"])
        credit = [record["weight"][i] * advantages[i] for i in own]
        values = {
            **record,
            "effective advantage": _mean(credit),
            "mean weight": _mean([record["weight"][i] for i in own]),
        }
        rows.append({column: values[column] for column in COLUMNS})
    return rows


def histograms(records: Sequence[Record]) -> dict[str, list[float]]:
    """D (nats) and f of all tokens that the model wrote in rollouts with a teacher."""
    found: dict[str, list[float]] = {"credit/kl": [], "credit/weight": []}
    for record in records:
        taught = record.get("kl") is not None or record.get("log_ratio") is not None
        for name, values in (("kl", record.get("kl")), ("weight", record["weight"])):
            pairs = zip(values or (), record["written"], strict=False)
            found[f"credit/{name}"] += [v for v, own in pairs if own and taught and _is_finite(v)]
    return {name: values for name, values in found.items() if values}


def heatmap(records: Sequence[Record]) -> str:
    """Some groups, a route each where there are several, as HTML: the darker, the larger f."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        groups.setdefault(record["group"], []).append(record)
    first = {own[0]["route"]: number for number, own in reversed(groups.items())}
    chosen = list(dict.fromkeys([*sorted(first.values()), *groups]))[:HEATMAP_GROUPS]
    shown = [record for number in chosen for record in groups[number]][:HEATMAP_ROLLOUTS]
    largest = max((w for record in shown for w in record["weight"]), default=1.0) or 1.0
    return "".join(
        [
            '<meta charset="utf-8"><div style="font: 14px/1.6 system-ui, sans-serif">',
            f"<p>Shaded by f, from 0 to {largest:.3g}; grey: not written by the model.</p>",
            *(_rollout(record, largest) for record in shown),
            "</div>",
        ]
    )


def _rollout(record: Record, largest: float) -> str:
    (row,) = table([record])
    said = (
        f"step {record['step']}, group {record['group']}, rollout {record['index']}: reward "
        f"{record['reward']:.4g}, route {record['route']}, mean f A "
        f"{row['effective advantage']:.3g}, mean f {row['mean weight']:.3g}"
    )
    tokens = [_token(record, i, largest) for i in range(len(record["tokens"]))]
    left = len(tokens) - HEATMAP_TOKENS
    more = f" <em>and {left:,} more tokens</em>" if left > 0 else ""
    prompt = html.escape(str(record["prompt"]))
    return (
        f"<details><summary>{html.escape(said)}</summary>"
        f'<pre style="white-space: pre-wrap; color: #5b616b">{prompt}</pre></details>'
        f'<p style="white-space: pre-wrap">{"".join(tokens[:HEATMAP_TOKENS])}{more}</p>'
    )


def _token(record: Mapping[str, Any], i: int, largest: float) -> str:
    """A token with its shade; spaces around it and marks of the template are not in it."""
    piece = str(record["tokens"][i])
    bare = piece.strip(" ") or piece
    before, after = piece.split(bare, 1) if bare else ("", "")
    special = record.get("special")
    text = "\u25aa" if special and special[i] else html.escape(bare)
    return f"{before}{_shaded(record, i, text, largest)}{after}"


def _shaded(record: Mapping[str, Any], i: int, text: str, largest: float) -> str:
    if not record["written"][i]:
        return f'<span style="background: #e9ebee">{text}</span>'
    weight, kl = record["weight"][i], record.get("kl")
    title = f"f {weight:.3g}" + ("" if kl is None else f", D {kl[i]:.3g} nats")
    shade = f"rgba(0, 114, 178, {DARKEST * max(0.0, weight) / largest:.2f})"
    return f'<span title="{title}" style="background: {shade}">{text}</span>'


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
