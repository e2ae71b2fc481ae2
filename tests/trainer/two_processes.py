"""One run for the process-count test: python two_processes.py OUTPUT, or by accelerate."""

import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.trainer.runs import config, trainer

ROLLOUTS = 24


def rollouts(prompts, run):
    """Completions that depend on the step and on the global position alone."""
    first = run.accelerator.process_index * len(prompts)
    completions = []
    for position in range(first, first + len(prompts)):
        rng = random.Random(f"{run.state.global_step}/{position}")
        completions.append([rng.randrange(8, 50) for _ in range(rng.randrange(1, 14))])
    rendered = run.processing_class.apply_chat_template(
        prompts, add_generation_prompt=True, return_dict=True
    )
    return {
        "prompt_ids": rendered["input_ids"],
        "completion_ids": completions,
        "logprobs": [[0.0] * len(ids) for ids in completions],
    }


def solved(completion_ids, **_):
    return [float(sum(ids) % 5 < 2) if len(ids) > 3 else 0.0 for ids in completion_ids]


def main(output: str) -> None:
    import os

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    args = config(
        Path(output).parent,
        per_device_train_batch_size=ROLLOUTS // processes,
        optim="sgd",
        learning_rate=0.1,
        rollout_steps=1,
        shuffle_dataset=False,
    )
    run = trainer(args, reward=solved, rollout_func=rollouts)
    records = []
    run.rollout_sink = lambda step, rows: records.extend(rows)
    run.train()
    if run.accelerator.is_main_process:
        kept = [
            {name: r[name] for name in ("step", "group", "index", "route", "reference", "kl")}
            for r in records
        ]
        scales = [row["credit/threshold_c"] for row in run.state.log_history if "loss" in row]
        weights = run.accelerator.unwrap_model(run.model).state_dict()
        torch.save({"records": kept, "scales": scales, "weights": weights}, output)
    if processes > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
