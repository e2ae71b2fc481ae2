"""use='weight': the divergence weighs the loss of each token (sections 3 and 4).

Shapes: B rollouts of this process, N groups, G rollouts a group, T tokens, M active tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from scgrpo.config import Method
from scgrpo.credit import metrics
from scgrpo.credit.metrics import Everywhere
from scgrpo.credit.scoring import Score, Scorer, ScoreRequest
from scgrpo.method import (
    Route,
    Weight,
    credit_weight,
    diversity_advantage,
    diversity_score,
    threshold,
)
from scgrpo.rollouts import Batch, Metrics, Rollouts, written_tokens
from scgrpo.teachers.lessons import Lessons

SCORED = ("entropy", "logp", "disagreement")
"""Signals that the scorer computes beside D."""


@dataclass
class TokenWeight:
    """Scores the rollouts before the batch is shuffled, and weighs their tokens afterwards."""

    method: Method
    accelerator: Accelerator
    scorer: Scorer
    weight: Weight
    needs_student_pass = True

    def attach(
        self, batch: Batch, rollouts: Rollouts, lessons: Lessons, reward_NG: Tensor
    ) -> Metrics:
        """Add D and the other signals to the batch, and the advantage of unsolved groups."""
        written_BT = written_tokens(batch)
        batch["kl"] = torch.zeros(written_BT.shape, device=written_BT.device)
        for name in self.scorer.signals:
            batch[name] = torch.zeros_like(batch["kl"])
        scored_B = self._score(batch, rollouts, lessons, written_BT)
        batch["credit_active"] = written_BT & scored_B[:, None]
        reference_B = torch.tensor(lessons.reference, device=written_BT.device)
        batch["reference"] = torch.where(scored_B, reference_B, -1)
        if lessons.diversity_sign is None or not bool(lessons.diversity_sign.any()):
            return {}
        return self._reward_diversity(batch, rollouts, lessons, reward_NG, scored_B)

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        """Turn the advantages of the micro-batches into per-token ones."""
        per_batch = self.method.threshold_scope == "batch"
        window = steps_per_update if per_batch else 1
        scales = []
        for start in range(0, len(micro_batches), window):
            step = micro_batches[start : start + window]
            accelerator = self.accelerator if per_batch else None
            weight_M, c = self._weigh_step(step, accelerator)
            scales.append(c)
            parts = weight_M.split([int(m["credit_active"].sum()) for m in step])
            for micro_batch, part in zip(step, parts, strict=True):
                weigh_tokens(micro_batch, part, c)
        return self._logged(micro_batches) | {
            "credit/threshold_c": torch.stack(scales).mean().item()
        }

    def _weigh_step(
        self, step: Sequence[Batch], accelerator: Accelerator | None
    ) -> tuple[Tensor, Tensor]:
        """Weights `(M)` of this process's active tokens of one optimizer step, and c of their D."""
        own = {name: active(step, name) for name in ("kl", *self.scorer.signals)}
        everywhere = Everywhere(accelerator, own["kl"].numel(), own["kl"].device)
        signals = {name: everywhere.gather(values) for name, values in own.items()}
        c = self._scale(signals["kl"])
        if "credit" in self.weight.signals:
            signals["credit"] = credit_weight(signals["kl"], c)
        if "advantage" in self.weight.signals:
            signals["advantage"] = everywhere.gather(_active_advantages(step))
        if signals["kl"].numel() == 0:
            return signals["kl"], c
        return everywhere.mine(self.weight(signals, self._scale)), c

    def _scale(self, values_M: Tensor) -> Tensor:
        method = self.method
        if method.threshold_fixed is not None:
            return torch.tensor(method.threshold_fixed, device=values_M.device)
        everywhere = torch.ones_like(values_M, dtype=torch.bool)
        return threshold(values_M, everywhere, method.threshold_percentile, method.threshold_min)

    def _score(
        self, batch: Batch, rollouts: Rollouts, lessons: Lessons, written_BT: Tensor
    ) -> Tensor:
        """Write the signals of each scored rollout into the batch; which ones were `(B)`."""
        least = 2 if "disagreement" in self.scorer.signals else 1
        requests = {
            row: _request(rollouts, row, prompts)
            for row, prompts in enumerate(lessons.prompts)
            if len(prompts) >= least and bool(written_BT[row].any())
        }
        scores = self.scorer.score(list(requests.values()))
        scored_B = torch.zeros(len(written_BT), dtype=torch.bool, device=written_BT.device)
        for row, score in zip(requests, scores, strict=True):
            kl_T = _REDUCE[self.method.reference_reduction](score.kl)
            for name, values in (("kl", kl_T), *score.signals.items()):
                if name in batch:
                    written_T = written_BT[row, : len(values)]
                    batch[name][row, : len(values)] = values.where(written_T, 0.0)
            scored_B[row] = True
            _keep_top_tokens(rollouts, row, score)
        return scored_B

    def _reward_diversity(
        self,
        batch: Batch,
        rollouts: Rollouts,
        lessons: Lessons,
        reward_NG: Tensor,
        scored_B: Tensor,
    ) -> Metrics:
        """Replace the advantage of unsolved groups by that of section 4."""
        device = scored_B.device
        length_B = torch.tensor(lessons.reference_length, device=device)
        score_B = diversity_score(batch["kl"], written_tokens(batch), length_B)
        score_NG = self.accelerator.gather(score_B).view_as(reward_NG)
        scored_NG = self.accelerator.gather(scored_B).view_as(reward_NG)
        assert lessons.diversity_sign is not None
        sign_N1 = lessons.diversity_sign.to(device)[:, None]
        diversity_NG = diversity_advantage(score_NG, scored_NG, self.method.diversity_alpha)
        local = rollouts.local(self.accelerator)
        advantage_B = (sign_N1 * diversity_NG).flatten()[local]
        unsolved_B = (sign_N1 != 0).expand_as(reward_NG).flatten()[local]
        if batch["advantages"].dim() == 2:
            unsolved_B, advantage_B = unsolved_B[:, None], advantage_B[:, None]
        batch["advantages"] = torch.where(unsolved_B, advantage_B, batch["advantages"])
        scores = score_NG[scored_NG & (sign_N1 != 0)]
        return {"credit/diversity_std": scores.std().item() if scores.numel() > 1 else 0.0}

    def _logged(self, micro_batches: Sequence[Batch]) -> Metrics:
        own = {name: active(micro_batches, name) for name in ("kl", "weight")}
        everywhere = Everywhere(self.accelerator, own["kl"].numel(), own["kl"].device)
        mass = torch.stack([_credit_mass(m) for m in micro_batches]).sum(0)
        none, total = self.accelerator.reduce(mass, reduction="sum").tolist()
        return metrics.kl_percentiles(everywhere.gather(own["kl"])) | {
            "credit/weight_mean": metrics.mean(everywhere.gather(own["weight"])),
            "credit/none_share": none / total if total else 0.0,
        }


_REDUCE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda kl_RT: kl_RT.mean(0),
    "max": lambda kl_RT: kl_RT.amax(0),
}


def active(micro_batches: Sequence[Batch], name: str) -> Tensor:
    """Values `(M)` of the active tokens, micro-batch by micro-batch."""
    return torch.cat([m[name][m["credit_active"]] for m in micro_batches])


def weigh_tokens(micro_batch: Batch, weight_M: Tensor, c: Tensor) -> None:
    """Carry the weight in the advantage: f min(rho A, clip A) = min(rho fA, clip fA), as f >= 0."""
    weight_BT = torch.ones_like(micro_batch["kl"])
    weight_BT[micro_batch["credit_active"]] = weight_M
    advantage = micro_batch["advantages"]
    micro_batch["weight"] = weight_BT
    micro_batch["threshold_c"] = c.expand(len(weight_BT))
    micro_batch["base_advantage"] = advantage
    micro_batch["advantages"] = (advantage if advantage.dim() == 2 else advantage[:, None]) * (
        weight_BT
    )


def _active_advantages(step: Sequence[Batch]) -> Tensor:
    parts = []
    for micro_batch in step:
        advantage, where_BT = micro_batch["advantages"], micro_batch["credit_active"]
        full_BT = advantage if advantage.dim() == 2 else advantage[:, None].expand(where_BT.shape)
        parts.append(full_BT[where_BT])
    return torch.cat(parts)


def _request(rollouts: Rollouts, row: int, teacher_prompts: list[list[int]]) -> ScoreRequest:
    completion = rollouts.completion_ids[row]
    hidden: Any = rollouts.student_hidden
    return ScoreRequest(
        student_prompt=rollouts.prompt_ids[row],
        teacher_prompts=teacher_prompts,
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
