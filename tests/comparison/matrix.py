"""A small comparison, and what its steps would leave."""

import json

import yaml

from scgrpo.comparison import plan
from scgrpo.comparison.load import load_comparison

MATRIX = {
    "name": "two",
    "models": {"teacher": {"width": 8, "steps": 1}},
    "tasks": {
        "sums": {
            "splits": {"heldout": 2},
            "validation": {"validation": 2},
            "options": {"steps": 2},
            "axis": {"additions": 2},
        }
    },
    "settings": {"max_steps": 3},
    "sweep": {"learning_rates": [1e-4, 2e-4], "seeds": [100]},
    "methods": {
        "grpo": {"seeds": 2},
        "sc-grpo": {"seeds": [4]},
        "sc-grpo-p50": {"learning_rate_of": "sc-grpo", "seeds": 1, "group": "ablations"},
        "opd": {"learning_rate": 3e-4, "seeds": 1, "settings": {"teacher_model": "teacher"}},
    },
    "k": 2,
}


def load(folder, **changes):
    path = folder / "compare.yaml"
    matrix = MATRIX | {"output": str(folder / "out")} | changes
    path.write_text(yaml.safe_dump(matrix, sort_keys=False))
    return load_comparison(path)


def write_records(path, rewards, split):
    """Records of problems p0, p1, ... in this order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"split": split, "problem_id": f"p{p}", "sample": k, "reward": reward})
        for p, row in enumerate(rewards)
        for k, reward in enumerate(row)
    ]
    path.write_text("\n".join(lines))


def validate(comparison, scores):
    """Pretend that the sweep gave these mean rewards: {(method, rate): score in halves}."""
    for run in plan.sweep_runs(comparison):
        score = scores[run.method.name, run.learning_rate]
        row = [1.0, 0.0] if score == 0.5 else [score, score]
        (step,) = run.evaluations
        write_records(step.records, [row, row], "validation")


SCORES = {
    ("grpo", 1e-4): 0.5, ("grpo", 2e-4): 1.0, ("sc-grpo", 1e-4): 0.5, ("sc-grpo", 2e-4): 0.5
}  # fmt: skip
