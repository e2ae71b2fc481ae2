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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from scgrpo.rollouts import Batch, Metrics, Rollouts, written_tokens
from scgrpo.world import World, gather_padded

logger = logging.getLogger(__name__)

Generate = Callable[[list[dict[str, Any]]], tuple[Batch, Rollouts]]
PER_ROLLOUT = ("rows", "prompts", "prompt_ids", "completion_ids", "written", "tools", "masked")


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


@dataclass(frozen=True)
class Pool:
    """Rollouts of all processes, on each of them."""

    batch: Batch
    rollouts: Rollouts

    @classmethod
    def gathered(cls, world: World, batch: Batch, rollouts: Rollouts) -> "Pool":
        """The rollouts of all processes, in their global order."""
        tensors = {
            name: _gathered(world, name, value)
            for name, value in batch.items()
            if isinstance(value, Tensor) and value.dim() > 0
        }
        listed = {name: world.gather_objects(getattr(rollouts, name)) for name in PER_ROLLOUT}
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
        return Pool(tensors, Rollouts(**listed, reward_per_func=reward[index.to(reward.device)]))

    @classmethod
    def joined(cls, pools: Sequence["Pool"]) -> "Pool":
        """Several pools, one after the other, padded to the longest."""
        tensors = {
            name: _joined([pool.batch[name] for pool in pools], left=_pads_left(name))
            for name in pools[0].batch
        }
        listed = {
            name: [value for pool in pools for value in getattr(pool.rollouts, name)]
            for name in PER_ROLLOUT
        }
        rewards = torch.cat([pool.rollouts.reward_per_func for pool in pools])
        return cls(tensors, Rollouts(**listed, reward_per_func=rewards))


@dataclass
class DynamicSampling:
    """Fills generation batches with groups whose rewards differ."""

    world: World
    dataset: Dataset
    group_size: int
    rounds: int
    """Most extra generations of a batch."""
    seed: int
    verified: Callable[[Tensor], Tensor]
    """Of the rewards `(B_all, F)` the ones `(B_all)` that must differ within a group."""
    tried: Tried = field(default_factory=Tried)

    def fill(
        self, inputs: list[dict[str, Any]], step: int, generate: Generate
    ) -> tuple[Batch, Rollouts, Metrics]:
        """A generation batch all of whose groups have different rewards.

        Args:
            inputs: rows of this process, each repeated for its rollouts.
            step: optimizer steps done.
            generate: samples and scores rows.

        Returns:
            Batch and rollouts of this process, as many as `inputs`, and what is to be logged. Where
            the bound was reached, the rest of the batch is masked.

        Raises:
            DataExhausted: where not one group of all rounds had different rewards.
        """
        world, size = self.world, self.group_size
        wanted = len(inputs) * world.num_processes // size
        self.tried.add(step, world.gather_objects(inputs))
        fresh = self._fresh_rows(step)
        kept: list[Pool] = []
        spare: list[Pool] = []
        found = generated = rounds = 0
        while True:
            pool = Pool.gathered(world, *generate(inputs))
            differ_N = informative(self.verified(pool.rollouts.reward_per_func).view(-1, size))
            kept.append(pool.select(_rows_of(differ_N, size)))
            spare.append(pool.select(_rows_of(~differ_N, size)))
            found, generated = found + int(differ_N.sum()), generated + len(differ_N)
            if found >= wanted or rounds == self.rounds:
                break
            missing = math.ceil((wanted - found) / max(found / generated, 1 / wanted))
            rows = self._draw(fresh, min(missing, wanted), step)
            if not rows:
                break
            rounds, inputs = rounds + 1, rows
        if found < wanted:
            self._report_short(step, found, wanted, generated, rounds)
        masked = max(wanted - found, 0)
        full = Pool.joined([*kept, *spare]).select(range(wanted * size))
        full.batch["completion_mask"][(wanted - masked) * size :] = 0
        logged = {
            "sampling/rounds": float(rounds),
            "sampling/kept_share": found / generated,
            "sampling/masked_groups": float(masked),
        }
        return *_local(world, full, masked), logged

    def _fresh_rows(self, step: int) -> Iterator[dict[str, Any]]:
        """Rows that this step has not tried yet, in an order keyed by (seed, step)."""
        order = list(range(len(self.dataset)))
        random.Random(f"{self.seed}/{step}/fresh").shuffle(order)
        rows = (self.dataset[i] for i in order)
        return (row for row in rows if str(row["prompt"]) not in self.tried.prompts)

    def _draw(
        self, fresh: Iterator[dict[str, Any]], groups: int, step: int
    ) -> list[dict[str, Any]]:
        """This process's rows of so many groups, or a few more that the processes can share."""
        size, processes = self.group_size, self.world.num_processes
        share = processes // math.gcd(processes, size)
        groups = math.ceil(groups / share) * share
        drawn = list(itertools.islice(fresh, groups))
        drawn = drawn[: len(drawn) // share * share]
        self.tried.add(step, drawn)
        everyone = [row for row in drawn for _ in range(size)]
        count = len(everyone) // processes
        first = self.world.process_index * count
        return everyone[first : first + count]

    def _report_short(
        self, step: int, found: int, wanted: int, generated: int, rounds: int
    ) -> None:
        tried = (
            f"step {step}: {found} of {wanted} groups have different rewards after {rounds} extra "
            f"generations ({generated} groups in all; resample_rounds={self.rounds}, "
            f"{len(self.dataset)} rows)"
        )
        if found == 0:
            raise DataExhausted(
                f"{tried}; the data is exhausted: the policy solves all or none of each group. Use "
                "other problems, raise resample_rounds or num_generations, or set "
                "dynamic_sampling=false."
            )
        logger.warning("%s; the rest of the batch is masked.", tried)


def informative(reward_NG: Tensor) -> Tensor:
    """Groups `(N)` whose scored rewards are not all equal."""
    lowest = reward_NG.nan_to_num(torch.inf).amin(1)
    highest = reward_NG.nan_to_num(-torch.inf).amax(1)
    return lowest < highest


def _rows_of(chosen_N: Tensor, size: int) -> list[int]:
    return [n * size + g for n in chosen_N.nonzero()[:, 0].tolist() for g in range(size)]


def _pads_left(name: str) -> bool:
    return name.startswith("prompt_")


def _gathered(world: World, name: str, values: Tensor) -> Tensor:
    if values.dim() == 1:
        return world.gather(values)
    return gather_padded(world, values, left=_pads_left(name))


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


def _local(world: World, full: Pool, masked_groups: int) -> tuple[Batch, Rollouts]:
    """The share of this process; rewards stay those of all."""
    count = len(full.rollouts) // world.num_processes
    first = world.process_index * count
    mine = full.select(range(first, first + count))
    mine.batch["num_items_in_batch"] = world.sum(written_tokens(mine.batch).sum())
    rewards = full.rollouts.reward_per_func
    rollouts = replace(mine.rollouts, reward_per_func=rewards, masked_groups=masked_groups)
    return mine.batch, rollouts
