"""Runs of one process among several: python process_run.py FOLDER STRATEGY CASE ..."""

import faulthandler
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from scgrpo.credit.heads import PolicyHeads
from scgrpo.files import read_jsonl
from tests.trainer.runs import config, keep_records, trainer
from tests.trainer.strategies import facts, processes_of, settings, whole_weights
from tests.trainer.tiny import tiny_dataset

ROLLOUTS, GROUP, STEPS, INSPECTED = 24, 8, 3, 14
COLUMNS = (
    *("step", "group", "index", "prompt", "route", "reference", "reference_text", "kl"),
    *("student_top", "teacher_top"),
)
CASES = (
    *("grpo", "sc-grpo", "opd", "opsd", "grpo+fkl", "reinforce++", "sc-grpo-memory"),
    *("sc-grpo-mean4", "other-model", "initial", "inspected", "accumulated", "tied", "tied-loss"),
    *("waits", "saved", "resumed"),
)


def rollouts(prompts: list[Any], run: Any) -> dict[str, Any]:
    """Completions that depend on the step, the prompt and the place in the batch alone.

    The second half of them is shorter. At the second step it is solved, so that nobody teaches it;
    at the third the group that both processes share is unsolved.
    """
    first = run.accelerator.process_index * len(prompts)
    half = len(prompts) * run.accelerator.num_processes // 2
    completions = []
    for place, prompt in enumerate(prompts, start=first):
        text = prompt[-1]["content"]
        rng = random.Random(f"{run.state.global_step}/{text}/{place % GROUP}")
        ids = [rng.randrange(8, 50) for _ in range(rng.randrange(1, 14 if place < half else 6))]
        if not run.args.dynamic_sampling:
            if run.state.global_step == 1 and place >= GROUP:
                ids = ended(ids, 0)
            elif run.state.global_step == 2 and place // GROUP == 1:
                ids = ended(ids, 3)
        completions.append(ids)
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


def solved(completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [float(sum(ids) % 5 < 2) if len(ids) > 3 else 0.0 for ids in completion_ids]


def ended(ids: list[int], remainder: int) -> list[int]:
    """The completion and an end with which its sum has a remainder that is solved, or not."""
    longer = [*ids, 20, 20, 20]
    return [*longer, 20 + remainder - sum(longer) % 5]


def all_or_nothing(completion_ids: list[list[int]], prompts: list[Any], **_: Any) -> list[float]:
    """Half of the problems are solved by all rollouts, so that they teach nothing."""
    letters = [prompt[-1]["content"][-1] for prompt in prompts]
    own = solved(completion_ids)
    return [1.0 if x in "acegikmo" else r for x, r in zip(letters, own, strict=True)]


def options_of(case: str, folder: Path) -> dict[str, Any]:
    """Preset and options of a case; one that is not named here is a preset."""
    teacher = str(folder / "teacher")
    cases: dict[str, dict[str, Any]] = {
        "opd": {"preset": "opd", "teacher_model": teacher},
        "opsd": {"preset": "opsd", "divergence_clip": 5.0},
        "other-model": {"teacher": "model", "teacher_model": teacher, "reference_set": "partial"},
        "initial": {"teacher_weights": "initial"},
        "accumulated": {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 12},
        "inspected": {"rollout_steps": 1},
        # D of the second step is taken in the update, where one process has no teacher.
        "waits": {"threshold_scope": "previous", "rollout_steps": 2},
        "tied": {"preset": "sc-grpo"},
        "tied-loss": {"preset": "grpo+fkl"},
        # A checkpoint after each step, the first of them in the middle of a generation batch.
        "saved": {
            "preset": "sc-grpo-memory",
            "steps_per_generation": 2,
            "per_device_train_batch_size": 12,
            "optim": "adamw_torch",
            "learning_rate": 1e-3,
            "max_steps": 4,
            "save_strategy": "steps",
            "save_steps": 1,
        },
    }
    return {"preset": "sc-grpo", **cases[case]} if case in cases else {"preset": case}


def prepared(folder: Path, strategy: str, case: str) -> tuple[Any, list[Any]]:
    """The trainer of a case, and the records of its rollouts."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    options = {
        "per_device_train_batch_size": ROLLOUTS,
        "optim": "sgd",
        "learning_rate": 0.1,
        "rollout_steps": 1,
        "shuffle_dataset": False,
        "score_tokens": 48,
        "max_steps": STEPS,
        **options_of(case, folder),
    }
    options["per_device_train_batch_size"] //= processes
    args = config(folder / strategy / case, **options | settings(strategy.removesuffix("-lowest")))
    data = tiny_dataset()
    data = data.add_column("demonstration", [f"{i} is it" for i in range(len(data))])
    run = trainer(
        args,
        reward=all_or_nothing if args.dynamic_sampling else solved,
        rollout_func=rollouts,
        model=str(folder / ("tied" if case.startswith("tied") else "model")),
        # Few problems, seen again, where a memory is to be of use.
        train_dataset=data.select(range(4)) if args.memory_size else data,
    )
    run.inspected_rollouts = INSPECTED if case == "inspected" else 0
    return run, keep_records(run)


def trained(folder: Path, strategy: str, case: str) -> dict[str, Any]:
    """What a run left on this process; "resumed" goes on with the checkpoints of "saved"."""
    resumed = case == "resumed"
    with counted(PolicyHeads, "comparison") as divergences:
        run, records = prepared(folder, strategy, "saved" if resumed else case)
        first = whole_weights(run)
        checkpoint = str(Path(run.args.output_dir) / "checkpoint-1")
        run.train(resume_from_checkpoint=checkpoint if resumed else None)
    weights = whole_weights(run)
    return {
        "records": [
            {name: r[name] for name in COLUMNS} | {"length": len(r["completion_ids"])}
            for r in records
        ],
        "logged": [row for row in run.state.log_history if "loss" in row],
        "rows": read_jsonl(run.recorder.folder.metrics),
        "weights": weights,
        "moved": {name: (w - first[name]).abs().max().item() for name, w in weights.items()},
        "divergences": len(divergences),
        "facts": facts(run),
    }


class counted:
    """Inside, the calls of a method are listed."""

    def __init__(self, owner: type, name: str) -> None:
        self.owner, self.name, self.original = owner, name, getattr(owner, name)

    def __enter__(self) -> list[None]:
        calls: list[None] = []
        original: Callable[..., Any] = self.original

        def counting(*args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            return original(*args, **kwargs)

        setattr(self.owner, self.name, counting)
        return calls

    def __exit__(self, *_: Any) -> None:
        setattr(self.owner, self.name, self.original)


def main(folder: str, strategy: str, *cases: str) -> None:
    with processes_of(strategy.removesuffix("-lowest")):
        results = {}
        for case in cases:
            faulthandler.dump_traceback_later(120, exit=True)  # says where it waits in vain
            results[case] = trained(Path(folder), strategy, case)
            torch.save(results, Path(folder) / f"{strategy}-{os.environ.get('RANK', '0')}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
