"""use='loss': the divergence of teacher and student is added to the loss (section 6).

The teacher reads each micro-batch right before the student does, with the weights that it has by
then. The divergence is taken inside of the student's forward, in which a sharded model holds its
output head.

Shapes: B rollouts of a micro-batch, T tokens, M tokens that have a teacher.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from scgrpo.config import Method
from scgrpo.credit.aggregation import aggregate
from scgrpo.credit.scoring import Heads, Policy, captured_hidden_states, evaluation_mode
from scgrpo.method import clipped_divergence, warmed
from scgrpo.rollouts import Batch, Metrics, Rollouts, written_tokens
from scgrpo.teachers.lessons import Lessons


@dataclass
class DistillationLoss:
    """Adds coefficient x divergence, aggregated as the surrogate is."""

    method: Method
    accelerator: Accelerator
    student: Policy
    teacher: Policy
    heads: Heads
    seconds: dict[str, float] = field(default_factory=lambda: {"teacher_pass": 0.0})
    needs_student_pass = False

    def attach(
        self, batch: Batch, rollouts: Rollouts, lessons: Lessons, reward_NG: Tensor
    ) -> Metrics:
        """Add the teacher's prompts to the batch, so that they survive shuffle and split."""
        prompts = [shown[0] if shown else [] for shown in lessons.prompts]
        device = batch["completion_ids"].device
        rows = [torch.tensor(ids, dtype=torch.int64) for ids in prompts]
        batch["teacher_prompt_ids"] = nn.utils.rnn.pad_sequence(rows, True).to(device)
        batch["teacher_prompt_length"] = torch.tensor([*map(len, prompts)], device=device)
        taught_B = batch["teacher_prompt_length"] > 0
        batch["credit_active"] = written_tokens(batch) & taught_B[:, None]
        batch["reference"] = torch.tensor(lessons.reference, device=device)
        return {}

    def weigh(self, micro_batches: Sequence[Batch], steps_per_update: int) -> Metrics:
        return {}

    def loss(
        self, trainer: Any, inputs: Batch, surrogate: Callable[[], Tensor]
    ) -> tuple[Tensor, Metrics]:
        """The surrogate plus the distillation term.

        Args:
            trainer: TRL's trainer, for the normalisation of its loss.
            inputs: a micro-batch with the teacher's prompts.
            surrogate: makes the student's forward and returns TRL's loss.

        Returns:
            Scalar loss, and what is to be logged of it.
        """
        active_BT = inputs["credit_active"]
        teacher_MH = self._teacher_hidden(inputs)

        def divergence(student_hidden: Tensor) -> Tensor:
            predicting = student_hidden[:, -active_BT.shape[1] - 1 : -1]
            return self.heads.divergence(teacher_MH, predicting[active_BT])

        with _inside_forward(trainer._unwrapped, self.student.backbone, divergence) as found:
            loss = surrogate()
        divergence_M = found[-1]
        clipped_BT = torch.zeros(active_BT.shape, device=divergence_M.device)
        clipped_BT[active_BT] = clipped_divergence(divergence_M, self.method.divergence_clip)
        coefficient = warmed(
            self.method.loss_coefficient,
            self.method.loss_coefficient_start,
            trainer.state.global_step,
            self.method.loss_warmup_steps,
        )
        term = aggregate(clipped_BT, inputs, trainer)
        return loss + coefficient * term, self._logged(divergence_M.detach(), coefficient)

    def _teacher_hidden(self, inputs: Batch) -> Tensor:
        """States `(M, H)` of the teacher that predict the tokens which have one."""
        active_BT = inputs["credit_active"]
        rows = active_BT.any(1).nonzero()[:, 0].tolist()
        start = time.perf_counter()
        lengths = inputs["completion_mask"].sum(1).tolist()
        prompt_lengths = inputs["teacher_prompt_length"].tolist()
        prompts = [inputs["teacher_prompt_ids"][r, : prompt_lengths[r]].tolist() for r in rows]
        completions = [inputs["completion_ids"][r, : lengths[r]].tolist() for r in rows]
        with torch.no_grad(), self.accelerator.autocast(), evaluation_mode(self.teacher.model):
            # Without a taught rollout the pass is still made: other processes may wait in theirs.
            hidden = self.teacher.hidden_states(prompts or [[0]], completions or [[0]])
        chosen = [active_BT[r, : lengths[r]] for r in rows]
        mask = torch.cat(chosen) if chosen else torch.zeros(1, dtype=torch.bool)
        self.seconds["teacher_pass"] += time.perf_counter() - start
        return hidden[mask.to(hidden.device)]

    def _logged(self, divergence_M: Tensor, coefficient: float) -> Metrics:
        clip = self.method.divergence_clip
        above = divergence_M > clip if clip is not None else torch.zeros_like(divergence_M)
        sums = torch.stack([divergence_M.sum(), above.float().sum()])
        counted = torch.cat([sums, sums.new_tensor([float(divergence_M.numel())])])
        total, clipped, tokens = self.accelerator.reduce(counted, reduction="sum").tolist()
        return {
            "distill/divergence": total / max(tokens, 1),
            "distill/clipped_share": clipped / max(tokens, 1),
            "distill/tokens": tokens,
            "distill/coefficient": coefficient,
        }


@contextmanager
def _inside_forward(
    model: nn.Module, backbone: nn.Module, compute: Callable[[Tensor], Tensor]
) -> Iterator[list[Tensor]]:
    """Collect what `compute` makes of the last hidden states of each forward of the model."""
    results: list[Tensor] = []
    with captured_hidden_states(backbone) as states:
        handle = model.register_forward_hook(lambda *call: results.append(compute(states[-1])))
        try:
            yield results
        finally:
            handle.remove()
