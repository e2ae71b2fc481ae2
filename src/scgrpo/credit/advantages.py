"""What the reward says: the advantages of a generation batch (sections 1, 4 and 6).

Shapes: B rollouts of this process, B_all of all, N groups, G rollouts a group, T tokens.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from scgrpo.config import Method
from scgrpo.credit.reading import Seconds
from scgrpo.credit.use import Passes
from scgrpo.method import (
    credit_weight,
    diversity_advantage,
    diversity_score,
    group_advantage,
    token_returns,
    verified_mask,
    whiten,
)
from scgrpo.rivals import entropy_shaped_advantage, step_advantage
from scgrpo.rollouts import Batch, Metrics, StepContext, written_tokens
from scgrpo.teachers.teacher import References
from scgrpo.world import UnevenVectors, gather_padded

Advantages = tuple[Tensor, Metrics]
"""`(B)` or `(B, T)`, and what is to be logged."""


class Estimator(Protocol):
    """Says what the reward of each rollout is worth, before any token is weighted."""

    def __call__(self, batch: Batch, step: StepContext) -> Advantages: ...


def group_normalised(batch: Batch, step: StepContext) -> Advantages:
    """GRPO: TRL's own advantage, as it is."""
    return batch["advantages"], {}


def no_advantage(batch: Batch, step: StepContext) -> Advantages:
    """Distillation alone: the reward is logged and teaches nothing."""
    return torch.zeros_like(batch["advantages"]), {}


@dataclass(frozen=True)
class Whitened:
    """REINFORCE++: returns less the KL to the initial policy, whitened over all processes."""

    reward_kl: float
    """Coefficient of that KL."""
    discount: float
    sampling_logps: Callable[[Batch], Tensor]
    """Log-probs `(B, T)` of the policy that sampled."""

    def __call__(self, batch: Batch, step: StepContext) -> Advantages:
        written_BT = written_tokens(batch)
        reward_B = step.total_NG.flatten()[step.local].to(written_BT.device)
        kl_BT = torch.zeros(written_BT.shape, device=written_BT.device)
        if self.reward_kl > 0:
            kl_BT = self.sampling_logps(batch) - batch["ref_per_token_logps"]
        returns_BT = token_returns(reward_B, kl_BT, written_BT, self.reward_kl, self.discount)
        scored_BT = written_BT & ~returns_BT.isnan()
        whitened = whiten(
            gather_padded(step.world, returns_BT.nan_to_num(0)),
            gather_padded(step.world, scored_BT),
        )
        sums = torch.stack([(kl_BT * written_BT).sum(), written_BT.sum().float()])
        total, tokens = step.world.sum(sums)
        logged = {"reward_kl": (total / tokens.clamp(min=1)).item()}
        return whitened[step.local, : written_BT.shape[1]], logged


@dataclass(frozen=True)
class EntropyShaped:
    """GTPO: entropy shapes the reward of each token, verified and failed rollouts apart."""

    solve_threshold: float
    """Reward from which on a rollout counts as solved."""
    student: Callable[[Batch, StepContext], tuple[Batch, Seconds]]
    """Columns `(B, T)` of a pass, `entropy` among them, and its seconds."""

    def __call__(self, batch: Batch, step: StepContext) -> Advantages:
        written_BT = written_tokens(batch)
        columns, seconds = self.student(batch, step)
        entropy, written = (
            gather_padded(step.world, x).unflatten(0, step.reward_NG.shape)
            for x in (columns["entropy"], written_BT)
        )
        verified_NG = verified_mask(step.reward_NG, self.solve_threshold).to(entropy.device)
        failed_NG = ~verified_NG & ~step.reward_NG.isnan().to(entropy.device)
        shaped = entropy_shaped_advantage(entropy, written, verified_NG, failed_NG).flatten(0, 1)
        logged = {"time/entropy_pass": sum(seconds.values())}
        return shaped[step.local, : written_BT.shape[1]], logged


@dataclass(frozen=True)
class GroupInGroup:
    """GiGPO: the group's advantage, and that among the turns which answer to the same observation.

    The state of a turn is what stands before it and after the model's turn before: a tool's answer
    with the marks of the template. The first turns of a group share theirs, the prompt.
    """

    discount: float
    """gamma, by turn; the reward is that of the last one."""

    def __call__(self, batch: Batch, step: StepContext) -> Advantages:
        written_BT = written_tokens(batch)
        rows = zip(batch["completion_ids"].tolist(), written_BT.tolist(), strict=True)
        own = [_turns(ids, written) for ids, written in rows]
        everywhere = step.world.gather_objects([[turn.state for turn in turns] for turns in own])
        size, reward_B = step.reward_NG.shape[1], step.total_NG.flatten().tolist()
        numbers: dict[tuple[int, bytes], int] = {}
        returns, states, places = [], [], {}
        for row, seen in enumerate(everywhere):
            if math.isnan(reward_B[row]):
                continue
            for t, state in enumerate(seen):
                places[row, t] = len(returns)
                returns.append(self.discount ** (len(seen) - 1 - t) * reward_B[row])
                states.append(numbers.setdefault((row // size, state), len(numbers)))
        found = step_advantage(torch.tensor(returns), torch.tensor(states, dtype=torch.int64))
        advantage_BT = per_token(batch["advantages"], written_BT).clone()
        for row, turns in enumerate(own):
            for t, turn in enumerate(turns):
                place = places.get((step.local.start + row, t))
                if place is not None:
                    advantage_BT[row, turn.start : turn.end] += found[place].item()
        return advantage_BT * written_BT, {}


@dataclass(frozen=True)
class _Turn:
    """Tokens that the model wrote in one go."""

    state: bytes
    """Digest of the tokens between it and the turn before."""
    start: int
    end: int


def _turns(ids: Sequence[int], written: Sequence[bool]) -> list[_Turn]:
    """The turns of a completion, in their order."""
    turns, start = [], 0
    for is_turn, run in groupby(range(len(written)), key=written.__getitem__):
        places = list(run)
        if is_turn:
            before = repr(ids[start : places[0]]).encode()
            start = places[-1] + 1
            turns.append(_Turn(blake2b(before, digest_size=16).digest(), places[0], start))
    return turns


def diversity(
    advantage: Tensor,
    passes: Passes,
    batch: Batch,
    step: StepContext,
    references: References,
    method: Method,
    threshold: Callable[[Tensor], Tensor],
) -> Advantages:
    """The advantages, replaced in unsolved groups of which GRPO has nothing to say (section 4).

    The scores of a group are compared with each other, so that they share one c: that of the active
    tokens of this generation batch. Where it is one optimizer step, the weights have the same.

    Args:
        advantage: `(B)` or `(B, T)` what the reward says.
        passes: D of the rollouts that were scored.
        batch: TRL's tensors.
        step: the generation batch.
        references: what was shown, and which groups are unsolved.
        method: scale of the pseudo-advantage, and which groups have it.
        threshold: from D of active tokens `(M_all)` to c.
    """
    scored_B, sign_N = passes.scored_B, diversity_signs(step, references, method)
    if scored_B is None or not bool(sign_N.any()):
        return advantage, {}
    device = scored_B.device
    length_B = torch.tensor([r[0].written if r else 0 for r in references.shown], device=device)
    kl_BT = passes.columns["kl"]
    kl_M = kl_BT[passes.columns["credit_active"]]
    c = threshold(UnevenVectors(step.world, kl_M.numel()).gather(kl_M))
    score_B = diversity_score(credit_weight(kl_BT, c), written_tokens(batch), length_B)
    score_NG = step.world.gather(score_B).view_as(step.reward_NG)
    scored_NG = step.world.gather(scored_B).view_as(step.reward_NG)
    sign_N1 = sign_N.to(device)[:, None]
    diversity_NG = sign_N1 * diversity_advantage(score_NG, scored_NG, method.diversity_alpha)
    replaced_NG = (sign_N1 != 0).expand_as(score_NG)
    diversity_B, replaced_B = (x.flatten()[step.local] for x in (diversity_NG, replaced_NG))
    if advantage.dim() == 2:
        diversity_B, replaced_B = diversity_B[:, None], replaced_B[:, None]
    scores = score_NG[scored_NG & replaced_NG]
    logged = {"credit/diversity_std": scores.std().item() if scores.numel() > 1 else 0.0}
    return torch.where(replaced_B, diversity_B, advantage), logged


def diversity_signs(step: StepContext, references: References, method: Method) -> Tensor:
    """`(N)` the sign of each group's diversity advantage, 0 where it keeps what the reward says."""
    sign_N = references.diversity_sign
    if sign_N is None:
        return torch.zeros(len(step.reward_NG))
    if method.diversity_replaces == "always":
        return sign_N
    return sign_N * ~group_advantage(step.total_NG).any(1)


def per_token(advantage: Tensor, like: Tensor) -> Tensor:
    """Advantages `(B, T)` of ones that may be per rollout."""
    return advantage if advantage.dim() == 2 else advantage[:, None].expand(like.shape)
