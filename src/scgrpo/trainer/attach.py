"""Where credit is attached to a generation batch: after scoring, before TRL shuffles and splits.

A credit sees a batch twice: `attach` while its groups still exist, and `weigh` once it is cut into
the micro-batches of the optimizer steps, when the threshold's scope is known.

Shapes: B rollouts of this process, B_all of all processes, N groups, G rollouts a group, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from scgrpo.config import Method
from scgrpo.method import (
    Route,
    credit_weight,
    diversity_advantage,
    diversity_score,
    draw_references,
    threshold,
)
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.scoring import Score, Scorer, ScoreRequest
from scgrpo.trainer import metrics
from scgrpo.trainer.rollouts import Rollouts

Batch = dict[str, Any]
Metrics = dict[str, float]


@dataclass(frozen=True)
class DrawKey:
    """What the draw of references is keyed by."""

    seed: int
    step: int
    first_group: int = 0


class Credit(Protocol):
    """How the tokens of a batch get their credit."""

    needs_student_pass: bool
    """Whether the hidden states of a student pass that TRL makes anyway are of use."""

    def attach(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Metrics:
        """Add per-rollout tensors to the batch; they survive shuffle and split."""
        ...

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        """Turn the advantages of the micro-batches into per-token ones, where that is wanted."""
        ...


class UniformCredit:
    """GRPO: one advantage for all tokens of a rollout; TRL's batch as it is."""

    needs_student_pass = False

    def attach(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Metrics:
        return {}

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        return {}


@dataclass
class TokenWeight:
    """SC-GRPO: f(D) times the advantage of each token (sections 2 to 4)."""

    method: Method
    accelerator: Accelerator
    prompts: TeacherPrompts
    scorer: Scorer
    needs_student_pass = True

    def attach(
        self, batch: Batch, rollouts: Rollouts, reward_NG: Tensor, route_N: Tensor, key: DrawKey
    ) -> Metrics:
        reference_NG = draw_references(
            reward_NG,
            route_N,
            seed=key.seed,
            step=key.step,
            first_group=key.first_group,
            solve_threshold=self.method.solve_threshold,
        )
        written_BT = written_tokens(batch)
        local = self._local_rows(len(rollouts.completion_ids))
        reference_B = _global_rows(reference_NG)[local]
        kl_BT, scored_B, cut = self._score(batch, rollouts, reference_B, written_BT)

        written_all = self.accelerator.gather(written_BT.sum(1))
        scored_NG = self.accelerator.gather(scored_B).view_as(reward_NG)
        reference_length_B = written_all[reference_B.clamp(min=0).to(written_all.device)]
        score_NG = self.accelerator.gather(
            diversity_score(kl_BT, written_BT, reference_length_B)
        ).view_as(reward_NG)
        diversity_NG = diversity_advantage(score_NG, scored_NG, self.method.diversity_alpha)

        none_N = (route_N == Route.NONE).to(diversity_NG.device)
        none_B = none_N.repeat_interleave(reward_NG.shape[1])[local]
        batch["advantages"] = torch.where(
            none_B, diversity_NG.flatten()[local], batch["advantages"]
        )
        batch["kl"] = kl_BT
        batch["credit_active"] = written_BT & scored_B[:, None]
        batch["reference"] = torch.where(scored_B, reference_B.to(scored_B.device), -1)
        total_cut = self.accelerator.gather(cut).sum().item()
        none_scores = score_NG[scored_NG & none_N[:, None]]
        return {
            "credit/reference_truncated": float(total_cut),
            "credit/diversity_std": none_scores.std().item() if none_scores.numel() > 1 else 0.0,
        }

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        per_batch = self.method.threshold_scope == "batch"
        window = steps_per_update if per_batch else 1
        scales = []
        for start in range(0, len(micro_batches), window):
            step = micro_batches[start : start + window]
            active_kl = torch.cat([m["kl"][m["credit_active"]] for m in step])
            if per_batch:
                active_kl = metrics.gather_ragged(self.accelerator, active_kl)
            scales.append(c := self._scale(active_kl))
            for micro_batch in step:
                weigh_tokens(micro_batch, c)
        return self._credit_metrics(micro_batches) | {
            "credit/threshold_c": torch.stack(scales).mean().item()
        }

    def _scale(self, active_kl: Tensor) -> Tensor:
        if self.method.threshold_fixed is not None:
            return torch.tensor(self.method.threshold_fixed, device=active_kl.device)
        everywhere = torch.ones_like(active_kl, dtype=torch.bool)
        method = self.method
        return threshold(active_kl, everywhere, method.threshold_percentile, method.threshold_min)

    def _score(
        self, batch: Batch, rollouts: Rollouts, reference_B: Tensor, written_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """D `(B, T)`, which rollouts have one `(B)`, and how many references were cut `(1)`."""
        library = self._all_completions(rollouts.completion_ids)
        requests: dict[int, ScoreRequest] = {}
        cut = 0
        for row, reference in enumerate(reference_B.tolist()):
            completion = rollouts.completion_ids[row]
            if reference < 0 or not written_BT[row].any():
                continue
            prompt = self.prompts.build(
                rollouts.prompts[row],
                rollouts.prompt_ids[row],
                library[reference],
                len(completion),
                tools=rollouts.tools[row] if rollouts.tools else None,
            )
            cut += prompt is None or prompt.reference_cut
            if prompt is not None:
                requests[row] = _request(rollouts, row, prompt.ids)
        scores = self.scorer.score(list(requests.values()))
        kl_BT = torch.zeros(written_BT.shape, device=written_BT.device)
        scored_B = torch.zeros(len(written_BT), dtype=torch.bool, device=written_BT.device)
        for row, score in zip(requests, scores, strict=True):
            kl_BT[row, : len(score.kl)] = score.kl
            scored_B[row] = True
            _keep_top_tokens(rollouts, row, score)
        return kl_BT, scored_B, torch.tensor([cut], device=written_BT.device)

    def _all_completions(self, completion_ids: list[list[int]]) -> list[list[int]]:
        if self.accelerator.num_processes == 1:
            return completion_ids
        return list(gather_object(completion_ids))

    def _local_rows(self, count: int) -> slice:
        first = self.accelerator.process_index * count
        return slice(first, first + count)

    def _credit_metrics(self, micro_batches: Sequence[Batch]) -> Metrics:
        def everywhere(name: str) -> Tensor:
            values = torch.cat([m[name][m["credit_active"]] for m in micro_batches])
            return metrics.gather_ragged(self.accelerator, values)

        mass = torch.stack([_credit_mass(m) for m in micro_batches]).sum(0)
        none, total = self.accelerator.reduce(mass, reduction="sum").tolist()
        return metrics.kl_percentiles(everywhere("kl")) | {
            "credit/weight_mean": metrics.mean(everywhere("weight")),
            "credit/none_share": none / total if total else 0.0,
        }


def written_tokens(batch: Batch) -> Tensor:
    """Tokens `(B, T)` that the model wrote: neither padding nor a tool's answer."""
    mask = batch["completion_mask"]
    return (mask * batch["tool_mask"] if "tool_mask" in batch else mask).bool()


def weigh_tokens(micro_batch: Batch, c: Tensor) -> None:
    """Carry the weight in the advantage: f min(rho A, clip A) = min(rho fA, clip fA), as f >= 0."""
    f_BT = credit_weight(micro_batch["kl"], c)
    weight_BT = torch.where(micro_batch["credit_active"], f_BT, torch.ones_like(f_BT))
    micro_batch["weight"] = weight_BT
    micro_batch["threshold_c"] = c.expand(len(weight_BT))
    micro_batch["base_advantage"] = micro_batch["advantages"]
    micro_batch["advantages"] = micro_batch["advantages"][:, None] * weight_BT


def _global_rows(reference_NG: Tensor) -> Tensor:
    """Index within the group -> number among all rollouts of all processes; -1 stays -1."""
    groups, size = reference_NG.shape
    first_N1 = torch.arange(groups)[:, None] * size
    return torch.where(reference_NG < 0, -1, reference_NG + first_N1).flatten()


def _request(rollouts: Rollouts, row: int, teacher_prompt: list[int]) -> ScoreRequest:
    completion = rollouts.completion_ids[row]
    hidden = rollouts.student_hidden
    return ScoreRequest(
        student_prompt=rollouts.prompt_ids[row],
        teacher_prompt=teacher_prompt,
        completion=completion,
        student_hidden=None if hidden is None else hidden[row, : len(completion)],
        want_top_tokens=row in rollouts.inspected,
    )


def _keep_top_tokens(rollouts: Rollouts, row: int, score: Score) -> None:
    if score.student_top is not None and score.teacher_top is not None:
        rollouts.top_tokens[row] = (score.student_top, score.teacher_top)


def _credit_mass(micro_batch: Batch) -> Tensor:
    """Sum of |f A| / |o_i| over the tokens of unsolved groups, and over all tokens."""
    written_BT = written_tokens(micro_batch)
    mass_BT = micro_batch["advantages"].abs() * written_BT
    mass_B = mass_BT.sum(1) / written_BT.sum(1).clamp(min=1)
    return torch.stack([mass_B[micro_batch["route"] == Route.NONE].sum(), mass_B.sum()])
