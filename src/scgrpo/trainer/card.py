"""The model card: what was trained, from what, how, and with what result."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path
from typing import Any

import yaml

from scgrpo.config import Method
from scgrpo.evaluation.compare import Estimate, summarise
from scgrpo.files import read_jsonl
from scgrpo.run_folder import RunFolder
from scgrpo.trainer.citation import PAPER

_TAGS = ("sc-grpo", "grpo", "trl")


def model_card(
    described: Mapping[str, Any],
    folder: RunFolder,
    method: Method,
    *,
    steps: int,
    adapter: bool,
    tags: Sequence[str] = (),
) -> str:
    """The card as Markdown; what is not known is left out.

    Args:
        described: the run, as `describe` gives it.
        folder: its records, for rewards and evaluations.
        method: what was trained with.
        steps: optimizer steps done.
        adapter: whether the folder holds a LoRA adapter and no whole model.
        tags: for the hub, beside ours.
    """
    base = described.get("model")
    on_hub = base if base and "/" in str(base) and not Path(str(base)).exists() else None
    head = {
        "library_name": "peft" if adapter else "transformers",
        **({"base_model": on_hub} if on_hub else {}),
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys([*_TAGS, *(["lora"] if adapter else []), *tags])),
    }
    kind = "A LoRA adapter" if adapter else "A model"
    preset = described["method"]["preset"]
    lora = (described.get("run") or {}).get("lora") or {}
    facts = {
        "Base": Path(str(base)).name if base and not on_hub else base,
        "Method": preset,
        "Data": described.get("task"),
        "Reward": _rewards(described),
        "LoRA": ", ".join(f"{key} {value}" for key, value in lora.items()),
        "Optimizer steps": f"{steps:,}",
        "Seed": described.get("seed"),
        "Learning rate": described["trainer"].get("learning_rate"),
    }
    parts = [
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n# {described['name']}",
        f"{kind} trained with scgrpo, on top of TRL.",
        _table(("", ""), [(k, v) for k, v in facts.items() if v not in (None, "")]),
        *_reward(folder),
        *_evaluations(folder, described["trainer"].get("solve_threshold", 1.0)),
        "## Method\n\nIts three choices, and every other field that is not the default:",
        _table(("field", "value"), _own(method)),
        "## Made with\n\n" + _versions(described.get("versions") or {}),
        f"## Citation\n\n{PAPER['title']}, [arXiv {PAPER['id']}]"
        f"(https://arxiv.org/abs/{PAPER['id']})\n\n```bibtex\n{PAPER['citation']}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _own(method: Method) -> list[tuple[str, Any]]:
    defaults = {spec.name: spec.default for spec in fields(Method)}
    own = asdict(method).items()
    named = {"advantage", "teacher", "use"}
    """Said in any case."""
    return [
        (name, value)
        for name, value in own
        if value is not None and (name in named or value != defaults[name])
    ]


def _rewards(described: Mapping[str, Any]) -> str:
    """Names of the reward functions, with their weights where they have any."""
    names = list(described.get("rewards") or [])
    weights = described["trainer"].get("reward_weights") or []
    return ", ".join(
        f"{name} (weight {weights[i]:g})" if len(weights) == len(names) else name
        for i, name in enumerate(names)
    )


def _reward(folder: RunFolder) -> list[str]:
    rows = read_jsonl(folder.metrics) if folder.metrics.exists() else []
    found = [(r["step"], r["reward"]) for r in rows if r.get("reward") is not None]
    if not found:
        return []
    ends = dict.fromkeys((found[0], found[-1]))
    told = ", ".join(f"{reward:.3f} at step {step}" for step, reward in ends)
    return [f"Training reward: {told} (each of one batch)."]


def _evaluations(folder: RunFolder, solve_threshold: float) -> list[str]:
    """Avg@k and Pass@k before (where it was evaluated) and after, by split, with intervals."""
    files = sorted(folder.path.glob("eval/step_*.jsonl"))
    lines = []
    for file in dict.fromkeys((*files[:1], *files[-1:])):
        rows = read_jsonl(file)
        for split in dict.fromkeys(row["split"] for row in rows):
            own = [row for row in rows if row["split"] == split]
            with suppress(ValueError):  # of problems that a kill left with fewer samples
                found = summarise(own, solve_threshold=solve_threshold)
                values = (_with_interval(found.avg), _with_interval(found.passed))
                lines.append((split, own[0]["step"], *values, found.problems, found.k))
    if not lines:
        return []
    columns = ("split", "step", "Avg@k [95 %]", "Pass@k [95 %]", "problems", "k")
    return ["## Evaluation", _table(columns, lines)]


def _with_interval(estimate: Estimate) -> str:
    """The value alone where one problem is no basis for an interval."""
    ends = "" if isnan(estimate.low) else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{ends}"


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items() if number)


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    """On one line and in one column, as a guide of several lines must be."""
    return " ".join(str(value).split()).replace("|", "\\|")
