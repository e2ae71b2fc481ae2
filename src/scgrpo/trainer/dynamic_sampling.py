"""Dynamic sampling (DAPO, arXiv 2503.14476, Eq. 11): a batch of groups whose rewards differ.

Groups with equal rewards teach nothing. They are thrown away, and fresh problems are sampled until
the batch is full or the bound on extra generations is reached. All processes see all groups, so
that the batch does not depend on how they share it.

Shapes: B rollouts of this process, B_all of all, N groups, G rollouts a group.
"""

import itertools
import logging
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor

from scgrpo.rollouts import Batch, Metrics, Rollouts, from_everywhere

logger = logging.getLogger(__name__)

Generate = Callable[[list[dict[str, Any]]], tuple[Batch, Rollouts]]
PER_ROLLOUT = ("rows", "prompts", "prompt_ids", "completion_ids", "written", "tools")


class DataExhausted(RuntimeError):
    """No problem is left whose rollouts get different rewards."""


@dataclass
class Tried:
    """Prompts of one optimizer step, over all its generation batches."""

    step: int = -1
    prompts: set[str] = field(default_factory=set)

    def add(self, step: int, rows: Iterable[dict[str, Any]]) -> None:
        """Rows that this step samples; those of an earlier step are forgotten."""
        if step != self.step:
            self.step, self.prompts = step, set()
        self.prompts |= {str(row["prompt"]) for row in rows}


@dataclass
class Pool:
    """Rollouts of all processes, on each of them."""

    batch: Batch
    rollouts: Rollouts

    @classmethod
    def gathered(cls, accelerator: Accelerator, batch: Batch, rollouts: Rollouts) -> "Pool":
        """The rollouts of all processes, in their global order."""
        tensors = {}
        for name, value in batch.items():
            if isinstance(value, Tensor) and value.dim() > 0:
                if value.dim() > 1:
                    value = accelerator.pad_across_processes(
                        value, dim=1, pad_first=name.startswith("prompt_")
                    )
                tensors[name] = accelerator.gather(value)
        listed = {
            name: from_everywhere(accelerator, getattr(rollouts, name)) for name in PER_ROLLOUT
        }
        return cls(tensors, Rollouts(**listed, reward_per_func=rollouts.reward_per_func))

    def select(self, rows: Sequence[int]) -> "Pool":
        """Some of the rollouts, in this order."""
        index = torch.tensor(rows, dtype=torch.int64)
        tensors = {name: value[index.to(value.device)] for name, value in self.batch.items()}
        listed = {
            name: [values[row] for row in rows] if (values := getattr(self.rollouts, name)) else []
            for name in PER_ROLLOUT
        }
        reward = self.rollouts.reward_per_func
        assert reward is not None
        kept = Rollouts(**listed, reward_per_func=reward[index.to(reward.device)])
        return Pool(tensors, kept)

    @classmethod
    def joined(cls, pools: Sequence["Pool"]) -> "Pool":
        """Several pools, one after the other, padded to the longest."""
        tensors = {
            name: _joined([pool.batch[name] for pool in pools], left=name.startswith("prompt_"))
            for name in pools[0].batch
        }
        listed = {
            name: [value for pool in pools for value in getattr(pool.rollouts, name)]
            for name in PER_ROLLOUT
        }
        rewards = [
            p.rollouts.reward_per_func for p in pools if p.rollouts.reward_per_func is not None
        ]
        return cls(tensors, Rollouts(**listed, reward_per_func=torch.cat(rewards)))


def sample_until_full(
    trainer: Any, inputs: list[dict[str, Any]], generate: Generate, verifier: int, tried: Tried
) -> tuple[Batch, Rollouts, Metrics]:
    """A generation batch all of whose groups have different rewards.

    Args:
        trainer: for group size, processes, data set, seed and step.
        inputs: rows of this process, each repeated for its rollouts.
        generate: samples and scores rows.
        verifier: column of the reward that must differ within a group.
        tried: what this step has sampled so far; added to.

    Returns:
        Batch and rollouts of this process, as many as `inputs`, and what is to be logged. Where
        the bound was reached, the rest of the batch is masked.

    Raises:
        DataExhausted: where not one group of all rounds had different rewards.
    """
    accelerator, size = trainer.accelerator, trainer.num_generations
    wanted = len(inputs) * accelerator.num_processes // size
    fresh = _FreshRows(trainer, inputs, tried)
    kept: list[Pool] = []
    spare: list[Pool] = []
    found = generated = rounds = 0
    while True:
        pool = Pool.gathered(accelerator, *generate(inputs))
        reward = pool.rollouts.reward_per_func
        assert reward is not None
        differ_N = informative(reward[:, verifier].view(-1, size))
        kept.append(pool.select(_rows_of(differ_N, size)))
        spare.append(pool.select(_rows_of(~differ_N, size)))
        found, generated = found + int(differ_N.sum()), generated + len(differ_N)
        if found >= wanted or rounds == trainer.args.resample_rounds:
            break
        missing = math.ceil((wanted - found) / max(found / generated, 1 / wanted))
        rows = fresh.draw(min(missing, wanted))
        if not rows:
            break
        rounds, inputs = rounds + 1, rows
    if found < wanted:
        _report_short(trainer, found, wanted, generated, rounds)
    logged = {"sampling/rounds": float(rounds), "sampling/kept_share": found / generated}
    masked = max(wanted - found, 0)
    full = Pool.joined([*kept, *spare]).select(range(wanted * size))
    full.batch["completion_mask"][(wanted - masked) * size :] = 0
    full.rollouts.masked_groups = masked
    return *_local(trainer, full, wanted * size), logged | {"sampling/masked_groups": float(masked)}


def informative(reward_NG: Tensor) -> Tensor:
    """Groups `(N)` whose scored rewards are not all equal."""
    lowest = reward_NG.nan_to_num(torch.inf).amin(1)
    highest = reward_NG.nan_to_num(-torch.inf).amax(1)
    return lowest < highest


class _FreshRows:
    """Rows that this step has not tried yet, in an order keyed by (seed, step)."""

    def __init__(self, trainer: Any, inputs: list[dict[str, Any]], tried: Tried) -> None:
        self.trainer, self.tried = trainer, tried
        tried.add(trainer.state.global_step, from_everywhere(trainer.accelerator, inputs))
        data: Dataset = trainer.train_dataset
        order = list(range(len(data)))
        random.Random(f"{trainer.args.seed}/{trainer.state.global_step}/fresh").shuffle(order)
        self.rows = (data[i] for i in order if str(data[i]["prompt"]) not in tried.prompts)

    def draw(self, groups: int) -> list[dict[str, Any]]:
        """This process's rows of so many groups, or a few more that the processes can share."""
        trainer, size = self.trainer, self.trainer.num_generations
        processes = trainer.accelerator.num_processes
        share = processes // math.gcd(processes, size)
        groups = math.ceil(groups / share) * share
        drawn = list(itertools.islice(self.rows, groups))
        drawn = drawn[: len(drawn) // share * share]
        self.tried.add(trainer.state.global_step, drawn)
        everyone = [row for row in drawn for _ in range(size)]
        count = len(everyone) // processes
        first = trainer.accelerator.process_index * count
        return everyone[first : first + count]


def _report_short(trainer: Any, found: int, wanted: int, generated: int, rounds: int) -> None:
    tried = (
        f"step {trainer.state.global_step}: {found} of {wanted} groups have different rewards "
        f"after {rounds} extra generations ({generated} groups in all; resample_rounds="
        f"{trainer.args.resample_rounds}, {len(trainer.train_dataset)} rows)"
    )
    if found == 0:
        raise DataExhausted(
            f"{tried}; the data is exhausted: the policy solves all or none of each group. Use "
            "other problems, raise resample_rounds or num_generations, or set "
            "dynamic_sampling=false."
        )
    logger.warning("%s; the rest of the batch is masked.", tried)


def _rows_of(chosen_N: Tensor, size: int) -> list[int]:
    return [n * size + g for n in chosen_N.nonzero()[:, 0].tolist() for g in range(size)]


def _joined(tensors: list[Tensor], *, left: bool) -> Tensor:
    if tensors[0].dim() == 1:
        return torch.cat(tensors)
    width = max(t.shape[1] for t in tensors)
    padded = []
    for tensor in tensors:
        missing = width - tensor.shape[1]
        sides = (missing, 0) if left else (0, missing)
        padded.append(torch.nn.functional.pad(tensor, sides))
    return torch.cat(padded)


def _local(trainer: Any, full: Pool, total: int) -> tuple[Batch, Rollouts]:
    accelerator = trainer.accelerator
    count = total // accelerator.num_processes
    first = accelerator.process_index * count
    mine = full.select(range(first, first + count))
    written = mine.batch["completion_mask"]
    if "tool_mask" in mine.batch:
        written = written * mine.batch["tool_mask"]
    mine.batch["num_items_in_batch"] = accelerator.gather(written.sum()).sum()
    mine.rollouts.reward_per_func = full.rollouts.reward_per_func
    mine.rollouts.masked_groups = full.rollouts.masked_groups
    return mine.batch, mine.rollouts
