"""One run of each preset for the process-count test: python two_processes.py OUTPUT PRESET ..."""

import os
import random
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.trainer.runs import config, keep_records, trainer
from tests.trainer.tiny import tiny_dataset

ROLLOUTS, GROUP = 24, 8


def rollouts(prompts, run):
    """Completions that depend on the step, the prompt and the place in the group alone."""
    first = run.accelerator.process_index * len(prompts)
    completions = []
    for position, prompt in enumerate(prompts, start=first):
        place = position % GROUP
        rng = random.Random(f"{run.state.global_step}/{prompt[-1]['content']}/{place}")
        completions.append([rng.randrange(8, 50) for _ in range(rng.randrange(1, 14))])
    rendered = run.processing_class.apply_chat_template(
        prompts, add_generation_prompt=True, return_dict=True
    )
    generated = {
        "prompt_ids": rendered["input_ids"],
        "completion_ids": completions,
        "logprobs": [[0.0] * len(ids) for ids in completions],
    }
    if run.args.memory_size:  # episodes: the masks of other processes are needed for references
        masks = [[int(place % 5 < 3) for place in range(len(ids))] for ids in completions]
        generated["env_mask"] = masks
    return generated


def solved(completion_ids, **_):
    return [float(sum(ids) % 5 < 2) if len(ids) > 3 else 0.0 for ids in completion_ids]


def all_or_nothing(completion_ids, prompts, **_):
    """Half of the problems are solved by all rollouts, so that they teach nothing."""
    letters = [prompt[-1]["content"][-1] for prompt in prompts]
    own = solved(completion_ids)
    return [1.0 if x in "acegikmo" else r for x, r in zip(letters, own, strict=True)]


def one_run(folder: Path, preset: str) -> dict:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    args = config(
        folder,
        preset,
        per_device_train_batch_size=ROLLOUTS // processes,
        optim="sgd",
        learning_rate=0.1,
        rollout_steps=1,
        shuffle_dataset=False,
    )
    reward = all_or_nothing if args.dynamic_sampling else solved
    data = tiny_dataset()
    # Few problems, seen again, where a memory is to be of use.
    data = data.select(range(4)) if args.memory_size else data
    run = trainer(
        args, reward=reward, rollout_func=rollouts, model=str(folder / "model"), train_dataset=data
    )
    records = keep_records(run)
    run.train()
    columns = ("step", "group", "index", "prompt", "route", "reference", "reference_text", "kl")
    kept = [{name: r[name] for name in columns} for r in records]
    scales = [row.get("credit/threshold_c", 0.0) for row in run.state.log_history if "loss" in row]
    weights = run.accelerator.unwrap_model(run.model).state_dict()
    return {"records": kept, "scales": scales, "weights": weights}


def main(output: str, *presets: str) -> None:
    folder = Path(output).parent
    results = {preset: one_run(folder, preset) for preset in presets}
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(results, output)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
