"""use='loss': the divergence of teacher and student is added to the loss (section 6).

The teacher reads each micro-batch right before the student does, with the weights that it has by
then. The divergence is taken inside of the student's forward, in which a sharded model holds its
output head.

Shapes: B rollouts of a micro-batch, T tokens, M tokens that have a teacher, H hidden size.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from scgrpo.config import Method
from scgrpo.credit.aggregation import Aggregation
from scgrpo.credit.forward import inside_forward, predicting, sampled_logps
from scgrpo.credit.reading import Reader, Reading, Seconds
from scgrpo.credit.scoring import Heads
from scgrpo.credit.trust import opinion_rows
from scgrpo.credit.use import Loss, NoUse, Passes, Update
from scgrpo.method import warmed
from scgrpo.rollouts import Batch, Metrics, StepContext, written_tokens
from scgrpo.teachers.policy import Policy, evaluation_mode
from scgrpo.teachers.teacher import References, ShownPrompts
from scgrpo.world import World


@dataclass(frozen=True)
class DistillationLoss(NoUse):
    """Adds coefficient x divergence, aggregated as the surrogate is."""

    method: Method
    world: World
    student: Policy
    teacher: Policy
    heads: Heads
    aggregate: Aggregation
    autocast: Callable[[], AbstractContextManager[Any]]
    """Mixed precision of the teacher's pass."""
    max_tokens: int = 16384
    """Padded tokens in one pass of the teacher; a longer completion goes alone."""
    shares_prompts: bool = True
    """Whether prompts that several completions of a micro-batch share are read once."""

    @cached_property
    def _reading(self) -> Reading:
        return Reading(self.world, self.max_tokens, self.shares_prompts)

    def passes(
        self, batch: Batch, step: StepContext, references: References, prompts: ShownPrompts
    ) -> Passes:
        """The teacher's prompts, which travel with the batch: its passes are made for the loss."""
        device = batch["completion_ids"].device
        shown = [ids[0] if ids else [] for ids in prompts.ids]
        rows = [torch.tensor(ids, dtype=torch.int64) for ids in shown]
        length_B = torch.tensor([*map(len, shown)], device=device)
        return Passes(
            {
                "teacher_prompt_ids": nn.utils.rnn.pad_sequence(rows, True).to(device),
                "teacher_prompt_length": length_B,
                "credit_active": written_tokens(batch) & (length_B > 0)[:, None],
                "reference": references.numbers.to(device),
            }
        )

    def loss(self, micro_batch: Batch, surrogate: Callable[[], Tensor], update: Update) -> Loss:
        active_BT, method = micro_batch["credit_active"], self.method
        seconds: Seconds = {}
        teacher_MH = self._teacher_states(micro_batch, seconds)

        def divergence(student_hidden: Tensor, output: Any) -> tuple[Tensor, Tensor, Tensor]:
            student_MH = predicting(student_hidden, active_BT)
            clipped, whole = self.heads.clipped_divergence(teacher_MH, student_MH)
            with torch.no_grad():
                own_M = None if self.heads.rounds(student_MH) else sampled_logps(output, active_BT)
                return clipped, whole, self._log_ratios(teacher_MH, student_MH, own_M, micro_batch)

        with inside_forward(self.student, divergence) as found:
            loss = surrogate()
        clipped_M, whole_M, log_ratio_M = found[-1]
        clipped_BT = torch.zeros(active_BT.shape, device=clipped_M.device)
        clipped_BT[active_BT] = clipped_M
        coefficient = warmed(
            method.loss_coefficient,
            method.loss_coefficient_start,
            update.step,
            method.loss_warmup_steps,
        )
        term = self.aggregate(clipped_BT, micro_batch, update)
        logged = self._logged(clipped_M.detach(), whole_M) | {"distill/coefficient": coefficient}
        opinions = _opinions(micro_batch, log_ratio_M)
        return Loss(loss + coefficient * term, logged, seconds, opinions)

    def _log_ratios(
        self, teacher_MH: Tensor, student_MH: Tensor, own_M: Tensor | None, micro_batch: Batch
    ) -> Tensor:
        """d `(M)` of the sampled tokens, nats."""
        ids_M = micro_batch["completion_ids"][micro_batch["credit_active"]]
        if own_M is None:
            own_M = self.heads.logps(student_MH, ids_M, of_teacher=False)
        return self.heads.logps(teacher_MH, ids_M, of_teacher=True) - own_M

    def _teacher_states(self, micro_batch: Batch, seconds: Seconds) -> Tensor:
        """States `(M, H)` of the teacher that predict the tokens which have one."""
        active_BT = micro_batch["credit_active"]
        rows = active_BT.any(1).nonzero()[:, 0].tolist()
        lengths = micro_batch["completion_mask"].sum(1).tolist()
        prompt_lengths = micro_batch["teacher_prompt_length"].tolist()
        ids = micro_batch["teacher_prompt_ids"]
        prompts = [ids[row, : prompt_lengths[row]].tolist() for row in rows]
        completions = [micro_batch["completion_ids"][r, : lengths[r]].tolist() for r in rows]
        chosen = [active_BT[row, : lengths[row]] for row in rows]
        if not rows:  # two tokens are read, so that the states of none have their width
            nothing = torch.zeros(1, dtype=torch.bool, device=active_BT.device)
            prompts, completions, chosen = [[0, 0]], [[0]], [nothing]
        reader = Reader("teacher_pass", self.teacher, [[prompt] for prompt in prompts])
        found: dict[int, Tensor] = {}
        with torch.no_grad(), self.autocast(), evaluation_mode(self.teacher.wrapped()):
            for places, (states,) in self._reading([reader], completions, seconds):
                own = zip(places, states, strict=True)
                found |= {place: states_TH[chosen[place]] for place, (states_TH,) in own}
        return torch.cat([found[place] for place in range(len(completions))])

    def _logged(self, clipped_M: Tensor, whole_M: Tensor) -> Metrics:
        sums = torch.stack([whole_M.sum(), (clipped_M < whole_M).float().sum()])
        counted = torch.cat([sums, sums.new_tensor([float(whole_M.numel())])])
        total, clipped, tokens = self.world.sum(counted).tolist()
        return {
            "distill/divergence": total / max(tokens, 1),
            "distill/clipped_share": clipped / max(tokens, 1),
            "distill/tokens": tokens,
        }


def _opinions(micro_batch: Batch, log_ratio_M: Tensor) -> Tensor | None:
    """What the teacher thought of each rollout; None in a batch of an older checkpoint."""
    if "outcome" not in micro_batch:
        return None
    active_BT = micro_batch["credit_active"]
    log_ratio_BT = torch.zeros(active_BT.shape, device=log_ratio_M.device)
    log_ratio_BT[active_BT] = log_ratio_M
    group_B, outcome_B = micro_batch["group_number"], micro_batch["outcome"]
    return opinion_rows(group_B, outcome_B, log_ratio_BT, active_BT)
