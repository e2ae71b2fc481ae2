"""One batch of a probe: rollouts -> references -> passes -> weightings -> gradients.

Shapes: M tokens of the batch, of which the model wrote some; W weightings, C coordinates.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scgrpo.probe.gradients import Coordinates, Parameters, weighted_gradients
from scgrpo.probe.names import ONLY, REFERENCES, VERIFIED
from scgrpo.probe.passes import Prompts, teacher_passes
from scgrpo.probe.references import Drawn, Solved, draw, solved
from scgrpo.probe.sampling import Sampled, Subject
from scgrpo.probe.store import StoredBatch
from scgrpo.probe.tokens import KINDS, POSITIONS, kinds
from scgrpo.probe.weightings import TokenFacts, Weighting
from scgrpo.teachers.memory import Reference
from scgrpo.teachers.pieces import Pieces
from scgrpo.teachers.policy import evaluation_mode

FEW = 4
"""Batches before this one whose verified rollouts may be shown for other problems."""


@dataclass(frozen=True)
class Instrument:
    """What stays the same over the batches of one policy."""

    subject: Subject
    weightings: Mapping[str, Weighting]
    parameters: Parameters
    coordinates: Coordinates
    seed: int
    max_tokens: int

    def measure(
        self, sampled: Sampled, number: int, earlier: Sequence[Solved]
    ) -> tuple[NDArray[np.floating], list[str], StoredBatch]:
        """Everything that is kept of a batch.

        Args:
            sampled: its rollouts.
            number: of the batch.
            earlier: verified rollouts of batches before it.

        Returns:
            Gradients `(W, C)`, the names that they belong to, and all else.
        """
        began = time.perf_counter()
        subject, rollouts = self.subject, sampled.rollouts
        own = solved(rollouts, sampled.reward_NG, subject.trainer.args.solve_threshold)
        shown = draw(
            rollouts,
            sampled.reward_NG,
            subject.trainer.args.solve_threshold,
            [*earlier, *own],
            subject.trainer._tokenizer,
            self.seed,
            number,
        )
        with evaluation_mode(subject.policy.module), subject.trainer.accelerator.autocast():
            facts, written = self._facts(sampled, self._prompts(rollouts, shown), number)
            texts = _Texts.of(subject.trainer._tokenizer, rollouts.completion_ids, written)
            facts = replace(facts, pieces=texts.pieces)
            weights_WM = torch.zeros(len(self.weightings), len(facts))
            if len(facts):  # every rollout of a batch may have been cut off
                weights_WM = torch.stack([weigh(facts) for weigh in self.weightings.values()])
            present = sorted(set(texts.kinds))
            kind_M = np.array(texts.kinds)
            only = [torch.tensor(kind_M == kind).float() for kind in present]
            names = [*self.weightings, *(ONLY + kind for kind in present)]
            gradients_WC = self._gradients(
                sampled, facts, written, torch.cat([weights_WM, *(one[None] for one in only)])
            )
        told = {
            "weightings": list(self.weightings),
            "pieces": texts.pieces,
            "rollouts": self._told(sampled, shown),
            "solved": [(one.problem, one.reference.ids, one.reference.mask) for one in own],
            "seconds": time.perf_counter() - began,
        }
        return gradients_WC, names, StoredBatch(_arrays(facts, texts, weights_WM), told)

    def _prompts(self, rollouts: Any, shown: Drawn) -> Prompts:
        builder = self.subject.teacher_prompts

        def prompt(row: int, reference: Reference | None) -> list[int] | None:
            if reference is None:
                return None
            built = builder.build(
                rollouts.prompts[row],
                rollouts.prompt_ids[row],
                reference.ids,
                len(rollouts.completion_ids[row]),
                tools=rollouts.tools[row] if rollouts.tools else None,
                reference_written=reference.mask,
            )
            return None if built is None else built.ids

        return {
            kind: [prompt(row, reference) for row, reference in enumerate(shown.shown[kind])]
            for kind in REFERENCES
        }

    def _facts(self, sampled: Sampled, prompts: Prompts, number: int) -> tuple[TokenFacts, Tensor]:
        """What is known of the written tokens, and which of all tokens these are."""
        rollouts = sampled.rollouts
        passed = teacher_passes(
            self.subject.policy,
            self.subject.heads,
            rollouts.prompt_ids,
            rollouts.completion_ids,
            prompts,
            self.subject.trainer.args.score_tokens,
        )
        lengths = torch.tensor([len(ids) for ids in rollouts.completion_ids])
        written_M = _flat(sampled.written, lengths)
        rollout_M = torch.arange(len(lengths)).repeat_interleave(lengths)[written_M]
        facts = TokenFacts(
            rollout_M,
            rollout_M // sampled.reward_NG.shape[1],
            sampled.reward_NG.flatten()[rollout_M],
            sampled.advantage[rollout_M],
            passed.logp[written_M],
            passed.entropy[written_M],
            {kind: values[written_M] for kind, values in passed.kl.items()},
            {kind: values[written_M] for kind, values in passed.log_ratio.items()},
            passed.contrast[written_M],
            solve_threshold=self.subject.trainer.args.solve_threshold,
            seed=1_000_003 * self.seed + number,
        )
        return facts, written_M

    def _gradients(
        self, sampled: Sampled, facts: TokenFacts, written_M: Tensor, weights_WM: Tensor
    ) -> NDArray[np.floating]:
        rollouts = sampled.rollouts
        lengths = torch.tensor([len(ids) for ids in rollouts.completion_ids])
        coefficients = torch.zeros(len(weights_WM), len(written_M))
        own = _flat(sampled.coefficient, lengths)[written_M]
        coefficients[:, written_M] = weights_WM * facts.advantage * own
        return weighted_gradients(
            self.subject.policy,
            self.parameters,
            self.coordinates,
            rollouts.prompt_ids,
            rollouts.completion_ids,
            coefficients,
            temperature=self.subject.trainer.temperature,
            max_tokens=self.max_tokens,
        ).numpy()

    def _told(self, sampled: Sampled, shown: Drawn) -> list[dict[str, Any]]:
        tokenizer, rollouts = self.subject.trainer._tokenizer, sampled.rollouts
        size = sampled.reward_NG.shape[1]
        rewards = sampled.reward_NG.flatten().tolist()
        threshold = self.subject.trainer.args.solve_threshold
        return [
            {
                "group": row // size,
                "reward": None if rewards[row] != rewards[row] else rewards[row],
                "solved": rewards[row] >= threshold,
                "advantage": float(sampled.advantage[row]),
                "prompt": tokenizer.decode(rollouts.prompt_ids[row], skip_special_tokens=True),
                "reference": None
                if (reference := shown.shown[VERIFIED][row]) is None
                else tokenizer.decode(reference.ids, skip_special_tokens=True),
            }
            for row in range(len(rollouts))
        ]


@dataclass(frozen=True)
class _Texts:
    """Text, kind and place of the written tokens."""

    pieces: list[str]
    kinds: list[str]
    positions: list[int]

    @classmethod
    def of(
        cls, tokenizer: Any, completions: Sequence[Sequence[int]], written_M: Tensor
    ) -> "_Texts":
        special, texts = set(tokenizer.all_special_ids), Pieces(tokenizer)
        pieces: list[str] = []
        found: list[str] = []
        positions: list[int] = []
        for ids in completions:
            own = texts(ids)
            pieces += own
            found += kinds(own, [token in special for token in ids])
            positions += [place * POSITIONS // len(ids) for place in range(len(ids))]
        keep = written_M.tolist()
        return cls(
            *(
                [x for x, k in zip(all_, keep, strict=True) if k]
                for all_ in (pieces, found, positions)
            )
        )


def _arrays(facts: TokenFacts, texts: _Texts, weights_WM: Tensor) -> dict[str, NDArray[Any]]:
    tensors = {
        "rollout": facts.rollout,
        "advantage": facts.advantage,
        "logp": facts.logp,
        "entropy": facts.entropy,
        "contrast": facts.contrast,
        **{f"kl_{kind}": values for kind, values in facts.kl.items()},
        **{f"log_ratio_{kind}": values for kind, values in facts.log_ratio.items()},
        "weights": weights_WM,
    }
    return {name: values.numpy() for name, values in tensors.items()} | {
        "kind": np.array([KINDS.index(kind) for kind in texts.kinds], dtype=np.int64),
        "position": np.array(texts.positions, dtype=np.int64),
    }


def _flat(values_BT: Tensor, lengths: Tensor) -> Tensor:
    """Values of the tokens, rollout by rollout, without padding."""
    return torch.cat([row[:n] for row, n in zip(values_BT, lengths.tolist(), strict=True)])
