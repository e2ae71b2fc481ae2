"""The README's table: GRPO and SC-GRPO on the embedded task, several seeds, equal steps.

    python benchmarks/demo_table.py --seeds 0 1 2 --learning-rates 1e-4 --steps 200 --output FOLDER

One thread a run, as many runs at a time as there are cores. Started again, it goes on where it
stopped. Writes FOLDER/table.md and FOLDER/records.json (rewards of every sample).
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from scgrpo.cli.jobs import Job, cores, run_jobs
from scgrpo.evaluation.metrics import avg_at_k, interval, pass_at_k
from scgrpo.evaluation.records import read_records, reward_matrix
from scgrpo.trainer.base_model import SyntheticOptions

K, PROBLEMS, RESAMPLES = 8, 256, 2000
SPLITS = ("heldout", "ood")


def run_name(preset: str, rate: float, seed: int) -> str:
    return f"{preset}-lr{rate:g}-s{seed}"


def training_job(options: argparse.Namespace, preset: str, rate: float, seed: int) -> Job | None:
    name = run_name(preset, rate, seed)
    if (options.output / name / "model" / "config.json").is_file():
        return None
    config = {
        "preset": preset,
        "name": name,
        "output_dir": str(options.output),
        "model": options.model,
        "task": "synthetic",
        "task_options": {"routine": options.routine},
        "seed": seed,
        "learning_rate": rate,
        "max_steps": options.steps,
        "eval_steps": 0,
        "rollout_steps": 0,
        "save_steps": options.steps,
        **yaml.safe_load(options.set),
    }
    path = options.output / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return Job(name, ["train", "--config", str(path)], options.output / "logs" / f"{name}.log")


def evaluation_job(options: argparse.Namespace, name: str, model: str, split: str) -> Job | None:
    output = records_path(options, name, split)
    if output.exists():
        return None
    arguments = ["evaluate", model, "--task", "synthetic", "--split", split, "-k", str(K)]
    arguments += ["--task-options", f"{{routine: {options.routine}}}"]
    arguments += ["--limit", str(PROBLEMS), "--seed", "1234", "--output", str(output)]
    return Job(f"{name}/{split}", arguments, options.output / "logs" / f"{name}-{split}.log")


def records_path(options: argparse.Namespace, name: str, split: str) -> Path:
    return Path(options.output) / "records" / f"{name}-{split}.jsonl"


def rewards(options: argparse.Namespace, names: list[str], split: str) -> np.ndarray:
    """Rewards `(S, P, K)`: seeds, problems, samples."""
    paths = [records_path(options, name, split) for name in names]
    return np.stack([reward_matrix(read_records(path))[1] for path in paths])


def estimate(rewards_SPK: np.ndarray, statistic: Any) -> str:
    """Value with its 95 % bootstrap interval over seeds and problems."""
    rng = np.random.default_rng(0)
    seeds, problems, _ = rewards_SPK.shape
    draws = []
    for _ in range(RESAMPLES):
        seed_S = rng.integers(seeds, size=seeds)
        problem_P = rng.integers(problems, size=problems)
        draws.append(statistic(rewards_SPK[seed_S][:, problem_P].reshape(-1, K)))
    low, high = interval(draws, 0.95)
    return f"{statistic(rewards_SPK.reshape(-1, K)):.3f} [{low:.3f}, {high:.3f}]"


def table(options: argparse.Namespace, methods: dict[str, list[str]]) -> str:
    seeds = len(options.seeds)
    batch = yaml.safe_load(options.set).get("per_device_train_batch_size", 64)
    lines = [
        f"Embedded task (routine share {options.routine:g}), {options.steps} steps of {batch // K} "
        f"groups of {K}; held-out and out-of-distribution: {PROBLEMS} problems x {K} samples; mean "
        f"over {seeds} seeds with 95 % bootstrap intervals over seeds and problems.",
        f"Machine: {platform.machine()}, {cores()} cores, one thread a run, no GPU, "
        f"torch {torch.__version__}.",
        "",
        f"| model | held-out Avg@{K} | held-out Pass@{K} | o.o.d. Avg@{K} | o.o.d. Pass@{K} |",
        "|---|---|---|---|---|",
    ]
    for label, names in methods.items():
        cells = [
            estimate(rewards(options, names, split), statistic)
            for split in SPLITS
            for statistic in (avg_at_k, pass_at_k)
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["grpo", "sc-grpo"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--learning-rates", nargs="+", type=float, default=[1e-4])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--routine", type=float, default=SyntheticOptions().routine)
    parser.add_argument("--set", default="{}", help="further keys of each run, as YAML")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    methods: dict[str, list[str]] = {"base": ["base"]}
    training = []
    for rate in options.learning_rates:
        for preset in options.presets:
            label = preset if len(options.learning_rates) == 1 else f"{preset}, lr {rate:g}"
            methods[label] = [run_name(preset, rate, seed) for seed in options.seeds]
            training += [training_job(options, preset, rate, seed) for seed in options.seeds]
    run_jobs([job for job in training if job], lambda: None)
    evaluation = []
    for names in methods.values():
        for name in names:
            model = options.model if name == "base" else str(options.output / name / "model")
            evaluation += [evaluation_job(options, name, model, split) for split in SPLITS]
    run_jobs([job for job in evaluation if job], lambda: None)
    text = table(options, methods)
    print(text)
    (options.output / "table.md").write_text(text)
    every = {n: rewards(options, [n], "heldout")[0].tolist() for ns in methods.values() for n in ns}
    (options.output / "records.json").write_text(json.dumps(every))


if __name__ == "__main__":
    main()
