"""use='weight' without a pass of the student: its update's own forward says what is needed of it.

The teacher reads the rollouts before the batch is shuffled, and its states are kept. The student's
are those of the update, which come micro-batch by micro-batch, so that c must be known before: it
is fixed, or that of the optimizer step before (section 3 of docs/method.md). A weight of
log-probabilities alone needs no c, and is what it would be with a pass.

Shapes: B rollouts of a micro-batch, T tokens, L of prompt and completion, M tokens, H hidden size,
R teachers of a rollout, A active tokens of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from scgrpo.credit import metrics
from scgrpo.credit.advantages import diversity_signs
from scgrpo.credit.forward import inside_forward, predicting, sampled_logps
from scgrpo.credit.reading import timed
from scgrpo.credit.scoring import ScoreRequest, compare
from scgrpo.credit.trust import opinion_rows
from scgrpo.credit.use import Loss, Passes, Seconds, Update
from scgrpo.credit.weight import TokenWeight, carried
from scgrpo.rollouts import Batch, Metrics, StepContext, written_tokens
from scgrpo.teachers.teacher import References, ShownPrompts
from scgrpo.world import OneProcess, UnevenVectors

LATER = "credit_later"
"""`(B)` rollouts that have a teacher, and whose D is taken in the update."""


@dataclass
class Previous:
    """What an optimizer step knows of the one before; part of the checkpoint."""

    c: float | None = None
    """Scale of D, over the active tokens that the update read; None before there were any."""


@dataclass(frozen=True)
class WeightInUpdate(TokenWeight):
    """Scores in the update what needs no more than it, and before it what does."""

    previous: Previous = field(default_factory=Previous)
    taught: dict[int, Tensor] = field(default_factory=dict)
    """`(R, A, H)` the teachers' states, by row of the generation batch, until they are read."""
    read: list[Batch] = field(default_factory=list)
    """Micro-batches of an optimizer step that is not over, weighed in the update."""
    divergences: list[Tensor] = field(default_factory=list)
    """D `(M)` of all its micro-batches."""

    def passes(
        self, batch: Batch, step: StepContext, references: References, prompts: ShownPrompts
    ) -> Passes:
        self.taught.clear()
        if not self._waits(step):
            return super().passes(batch, step, references, prompts)
        written_BT = written_tokens(batch)
        requests = self.requests(written_BT, step, prompts)
        sign_N = diversity_signs(step, references, self.method)
        compared_B = (sign_N != 0).repeat_interleave(step.reward_NG.shape[1])[step.local].tolist()
        now = {row: r for row, r in requests.items() if compared_B[row]}
        later = {row: r for row, r in requests.items() if not compared_B[row]}
        scored = self.scored(now, written_BT, step, references)
        columns, seconds = self._teach(later, written_BT)
        is_taught_B = scored.columns["credit_active"].any(1) | columns[LATER]
        columns["credit_active"] = written_BT & is_taught_B[:, None]
        columns["reference"] = torch.where(
            is_taught_B, references.numbers.to(written_BT.device), -1
        )
        spent = {name: scored.seconds[name] + seconds.get(name, 0.0) for name in scored.seconds}
        return Passes(scored.columns | columns, scored.scored_B, scored.inspections, spent)

    def _waits(self, step: StepContext) -> bool:
        """Whether the student's states are left to the update; all processes say the same."""
        known = self.method.threshold_scope != "previous" or self.previous.c is not None
        needs_c = self.scorer.divergence and self.method.threshold_fixed is None
        return step.updates_once and step.rollouts.student_hidden is None and (known or not needs_c)

    def _teach(
        self, requests: dict[int, ScoreRequest], written_BT: Tensor
    ) -> tuple[Batch, Seconds]:
        device = written_BT.device
        logp_BT = torch.zeros(written_BT.shape, device=device)
        later_B = torch.zeros(len(written_BT), dtype=torch.bool, device=device)
        asked = [written_BT[row, : len(r.completion)] for row, r in requests.items()]
        found, seconds = self.scorer.taught([*requests.values()], asked)
        for row, one in zip(requests, found, strict=True):
            later_B[row] = True
            if one.logp is not None:
                logp_BT[row, : len(one.logp)] = one.logp
            if one.states is not None:
                self.taught[row] = one.states
        return {"teacher_logp": logp_BT, LATER: later_B}, seconds

    def windows(
        self, micro_batches: Sequence[Batch], per_step: int, position: int
    ) -> Iterator[Sequence[Batch]]:
        if LATER in micro_batches[0]:
            return iter(())
        return super().windows(micro_batches, per_step, position)

    def threshold(self, values: Tensor) -> Tensor:
        if self.method.threshold_scope != "previous" or self.previous.c is None:
            return super().threshold(values)
        return torch.tensor(self.previous.c, device=values.device)

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.previous)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.previous.c = state.get("c")

    def loss(self, micro_batch: Batch, surrogate: Callable[[], Tensor], update: Update) -> Loss:
        seconds: Seconds = {}

        @torch.no_grad()
        def weigh(student_BLH: Tensor, output: Any) -> None:
            with timed(seconds, "teacher_pass"):
                self._weigh(micro_batch, student_BLH, output)

        if LATER not in micro_batch:
            value, opinions = surrogate(), None
        else:
            with inside_forward(self.scorer.student, weigh):
                value = surrogate()
            self.read.append(micro_batch)
            opinions = opinion_rows(
                micro_batch["group_number"],
                micro_batch["outcome"],
                micro_batch["log_ratio"],
                micro_batch["credit_active"],
            )
        return Loss(value, self._seen(micro_batch, update), seconds, opinions)

    def _weigh(self, micro_batch: Batch, student_BLH: Tensor, output: Any) -> None:
        """Put D, d, weights and advantages into a micro-batch."""
        active_BT = micro_batch["credit_active"] & written_tokens(micro_batch)
        later_BT = active_BT & micro_batch[LATER][:, None]
        student_MH = predicting(student_BLH, later_BT)
        micro_batch["credit_active"] = active_BT
        micro_batch["log_ratio"] = micro_batch["log_ratio"].clone()
        c = None
        if self.scorer.divergence:
            micro_batch["kl"] = micro_batch["kl"].clone()
            values = self._compared(micro_batch, later_BT, student_MH)
            micro_batch["kl"][later_BT], micro_batch["log_ratio"][later_BT] = values
            c = self.threshold(micro_batch["kl"][active_BT])
        else:
            own_M = self._logps(micro_batch, later_BT, student_MH, output)
            micro_batch["log_ratio"][later_BT] = micro_batch["teacher_logp"][later_BT] - own_M
        signals = self.signals([micro_batch], OneProcess())
        micro_batch |= carried(micro_batch, self.weight(signals, c), c)

    def _logps(
        self, micro_batch: Batch, later_BT: Tensor, student_MH: Tensor, output: Any
    ) -> Tensor:
        """Log-probs `(M)` by the student, of its own forward where they are as exact as ours."""
        found_M = None
        if not self.scorer.heads.rounds(student_MH):
            found_M = sampled_logps(output, later_BT)
        if found_M is not None:
            return found_M
        heads, ids_M = self.scorer.heads.gathered(), micro_batch["completion_ids"][later_BT]
        return heads.logps(student_MH, ids_M, of_teacher=False)

    def _compared(
        self, micro_batch: Batch, later_BT: Tensor, student_MH: Tensor
    ) -> tuple[Tensor, Tensor]:
        """D and d `(M)`, one rollout after the other; the teachers' states are let go."""
        heads = self.scorer.heads.gathered()
        rows = micro_batch["rollout_row"][later_BT.any(1)].tolist()
        taught = [self.taught.pop(r).to(student_MH.device, non_blocking=True) for r in rows]
        if not taught:
            nothing = student_MH.new_zeros(0, dtype=torch.float32)
            return nothing, nothing
        lengths = [states_RAH.shape[1] for states_RAH in taught]
        ids_M = micro_batch["completion_ids"][later_BT]
        compared = compare(heads, taught, student_MH.split(lengths), ids_M.split(lengths))
        kl = [self.reduced(kl_RA) for kl_RA, _, _ in compared]
        log_ratio = [teacher_RA.mean(0) - own_A for _, teacher_RA, own_A in compared]
        return torch.cat(kl), torch.cat(log_ratio)

    def _seen(self, micro_batch: Batch, update: Update) -> Metrics:
        """Note what the micro-batch showed; at the end of the step, what there is to be logged."""
        if self.method.threshold_scope == "previous" and "kl" in micro_batch:
            active_BT = micro_batch["credit_active"] & written_tokens(micro_batch)
            self.divergences.append(micro_batch["kl"][active_BT])
        if not update.is_last:
            return {}
        logged: Metrics = {}
        if self.world.largest(len(self.read)):
            scales = [m["threshold_c"][0] for m in self.read if "threshold_c" in m]
            logged = metrics.of_weights(self.read, scales, self.world)
        if self.divergences:
            own_M = torch.cat(self.divergences)
            kl = UnevenVectors(self.world, own_M.numel()).gather(own_M)
            if kl.numel():
                self.previous.c = float(super().threshold(kl))
        self.read.clear()
        self.divergences.clear()
        return logged
