"""use='weight': the divergence weighs the loss of each token (sections 2 and 3).

Shapes: B rollouts of this process, T tokens, M active tokens of an optimizer step on this process,
M_all on all.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from scgrpo.credit.advantages import per_token
from scgrpo.credit.scoring import CONTRASTS, Inspection, Score, Scorer, ScoreRequest
from scgrpo.credit.use import Passes, Signals
from scgrpo.credit.windows import Windows
from scgrpo.method import Weight, believed, credit_weight
from scgrpo.rollouts import Batch, StepContext, written_tokens
from scgrpo.teachers.teacher import References, ShownPrompts
from scgrpo.world import World


@dataclass(frozen=True)
class TokenWeight(Windows):
    """Scores the rollouts before the batch is shuffled, and weighs their tokens afterwards."""

    scorer: Scorer
    weight_function: Weight
    wants_student_states = True

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what the passes give of each token."""
        return (*(("kl",) if self.scorer.divergence else ()), *sorted(self.scorer.signals))

    def passes(
        self, batch: Batch, step: StepContext, references: References, prompts: ShownPrompts
    ) -> Passes:
        written_BT = written_tokens(batch)
        requests = self.requests(written_BT, step, prompts)
        return self.scored(requests, written_BT, step, references)

    def requests(
        self, written_BT: Tensor, step: StepContext, prompts: ShownPrompts
    ) -> dict[int, ScoreRequest]:
        """What is to be read, by row."""
        least = 2 if "disagreement" in self.columns else 1
        contrasts = prompts.contrast if self.scorer.signals & {*CONTRASTS} else None
        return {
            row: _request(step, row, shown, contrasts[row][0] if contrasts else None)
            for row, shown in enumerate(prompts.ids)
            if len(shown) >= least
            and bool(written_BT[row].any())
            and (contrasts is None or contrasts[row])
        }

    def scored(
        self,
        requests: Mapping[int, ScoreRequest],
        written_BT: Tensor,
        step: StepContext,
        references: References,
    ) -> Passes:
        """The passes of student and teacher over some rollouts."""
        device = written_BT.device
        columns = {name: torch.zeros(written_BT.shape, device=device) for name in self.columns}
        scores, seconds = self.scorer.score(list(requests.values()))
        for row, score in zip(requests, scores, strict=True):
            found = dict(score.signals)
            if score.kl is not None:
                found["kl"] = self.reduced(score.kl)
            for name, values_BT in columns.items():
                written_T = written_BT[row, : len(found[name])]
                values_BT[row, : len(found[name])] = found[name].where(written_T, 0.0)
        if "shuffle" in self.weight_function.signals:
            columns |= _lots(step, written_BT)
        scored_B = torch.zeros(len(written_BT), dtype=torch.bool, device=device)
        scored_B[list(requests)] = True
        columns["credit_active"] = written_BT & scored_B[:, None]
        columns["reference"] = torch.where(scored_B, references.numbers.to(device), -1)
        return Passes(columns, scored_B, _inspections(requests, scores), seconds)

    def reduced(self, kl_RT: Tensor) -> Tensor:
        """D `(T)` over all teachers."""
        return _REDUCE[self.method.reference_reduction](kl_RT)

    def signals(self, window: Sequence[Batch], world: World | None = None) -> Signals:
        asked = self.weight_function.signals
        names = [name for name in self.columns if name in ("kl", "log_ratio", *asked)]
        lots = LOTS if "shuffle" in asked else ()
        return self.gathered(window, [*names, *lots], self.weight_function, world)

    def weight(self, signals: Signals, c: Tensor | None) -> Tensor:
        values, method = signals.values, self.method
        if values["log_ratio"].numel() == 0:
            return values["log_ratio"]
        if "credit" in self.weight_function.signals:
            assert c is not None
            values = {**values, "credit": credit_weight(values["kl"], c)}
        shuffle = partial(_shuffled, *(values[n] for n in LOTS)) if LOTS[0] in values else None
        weight = self.weight_function(values, self.threshold, shuffle)
        weight = self.normalised(weight, signals)
        return weight if method.trust == "none" else believed(weight, signals.trust)


LOTS = ("lot_given", "lot_taken")
"""Random numbers of each token: what has the k-th smallest of one takes from that of the other."""


_REDUCE: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda kl_RT: kl_RT.mean(0),
    "max": lambda kl_RT: kl_RT.amax(0),
}


def carried(micro_batch: Batch, weight_M: Tensor, c: Tensor | None) -> Batch:
    """The weight as part of the advantage: f min(rho A, clip A) = min(rho fA, clip fA), as f >= 0.

    Args:
        micro_batch: with advantages `(B)` or `(B, T)`.
        weight_M: weights of its active tokens; the others have weight 1.
        c: scale of D, for the record; None where there is no D.

    Returns:
        Columns that replace or join those of the micro-batch.
    """
    active_BT = micro_batch["credit_active"]
    weight_BT = torch.ones(active_BT.shape, device=active_BT.device)
    weight_BT[active_BT] = weight_M
    advantage = micro_batch["advantages"]
    return {
        "weight": weight_BT,
        **({} if c is None else {"threshold_c": c.expand(len(weight_BT))}),
        "base_advantage": advantage,
        "advantages": per_token(advantage, weight_BT) * weight_BT,
    }


def _lots(step: StepContext, like: Tensor) -> Batch:
    """`(B, T)` random numbers by (seed, step, rollout), whatever the process that holds it."""
    lots = {name: torch.zeros(like.shape, dtype=torch.int64) for name in LOTS}
    for row in range(len(like)):
        number = step.first_group * step.reward_NG.shape[1] + step.local.start + row
        for name, lot_BT in lots.items():
            drawn = random.Random(f"{step.seed}/{step.step}/{number}/{name}")
            lot_BT[row] = torch.tensor([drawn.getrandbits(62) for _ in range(like.shape[1])])
    return {name: lot_BT.to(like.device) for name, lot_BT in lots.items()}


def _shuffled(given: Tensor, taken: Tensor, values: Tensor) -> Tensor:
    """Values `(M)` permuted: the token with the k-th smallest lot `given` has that of `taken`."""
    permuted = torch.empty_like(values)
    permuted[given.argsort()] = values[taken.argsort()]
    return permuted


def _request(
    step: StepContext,
    row: int,
    teacher_prompts: Sequence[list[int]],
    contrast_prompt: list[int] | None,
) -> ScoreRequest:
    rollouts = step.rollouts
    completion, hidden = rollouts.completion_ids[row], rollouts.student_hidden
    return ScoreRequest(
        student_prompt=rollouts.prompt_ids[row],
        teacher_prompts=teacher_prompts,
        completion=completion,
        student_hidden=None if hidden is None else hidden[row, : len(completion)],
        inspect=step.local.start + row < step.inspected,
        contrast_prompt=contrast_prompt,
    )


def _inspections(
    rows: Mapping[int, ScoreRequest], scores: Sequence[Score]
) -> dict[int, Inspection]:
    scored = zip(rows, scores, strict=True)
    return {row: score.inspection for row, score in scored if score.inspection is not None}
