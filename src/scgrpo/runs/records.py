"""Rows of the rollout log: enough to redraw every picture without the model."""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from scgrpo.credit.scoring import TopTokens
from scgrpo.credit.weight import SCORED
from scgrpo.method import Route
from scgrpo.rollouts import Rollouts, written_tokens
from scgrpo.teachers.transcripts import Transcripts

Record = dict[str, Any]


def rollout_records(
    trainer: Any, rollouts: Rollouts, micro_batches: Sequence[dict[str, Any]], verifier: int
) -> list[Record]:
    """One record per rollout of all processes, in the order in which they were generated.

    Args:
        trainer: whose tokenizer, step and group size are used.
        rollouts: the generation batch before it was shuffled.
        micro_batches: the same batch, shuffled, split and weighed.
        verifier: column of the verifier among the rewards.

    Returns:
        Records with the columns of the run folder's rollout table.
    """
    rows: dict[int, Record] = {}
    for micro_batch in micro_batches:
        for position, row in enumerate(micro_batch["rollout_row"].tolist()):
            rows[row] = _tensors_of(micro_batch, position, rollouts.completion_ids[row])
    count = len(rollouts.completion_ids)
    first = trainer.accelerator.process_index * count
    assert rollouts.reward_per_func is not None
    rewards = rollouts.reward_per_func[first : first + count, verifier].tolist()
    decode = _Decoder(trainer._tokenizer, trainer.chat_template, trainer.chat_template_kwargs)
    records = [
        {
            "step": trainer.state.global_step,
            "group": (first + row) // trainer.num_generations,
            "index": (first + row) % trainer.num_generations,
            "reward": rewards[row],
            **_texts_of(rollouts, row, decode),
            **rows[row],
        }
        for row in range(count)
    ]
    everywhere = gather_object(records)
    transcripts = [record.pop("transcript") for record in everywhere]
    for record in everywhere:
        reference = record["reference"]
        if reference >= 0:
            record["reference_text"] = transcripts[reference]
            record["reference"] = reference % trainer.num_generations
    return list(everywhere)


class _Decoder:
    def __init__(self, tokenizer: Any, *template: Any) -> None:
        self.tokenizer = tokenizer
        self.transcript = Transcripts(tokenizer, *template).text

    def text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        return [str(self.tokenizer.decode([token])) for token in ids]

    def top(self, top: TopTokens) -> list[list[Record]]:
        return [
            [{"token": p, "prob": q} for p, q in zip(self.pieces(ids), probs, strict=True)]
            for probs, ids in zip(top[0].tolist(), top[1].tolist(), strict=True)
        ]


def _texts_of(rollouts: Rollouts, row: int, decode: _Decoder) -> Record:
    ids = rollouts.completion_ids[row]
    written = rollouts.written[row] if rollouts.written else None
    student, teacher = rollouts.top_tokens.get(row, (None, None))
    outside = rollouts.lessons.outside.get(row)
    return {
        "reference_text": None if outside is None else decode.transcript(*outside),
        "transcript": decode.transcript(ids, written),
        "prompt": decode.text(rollouts.prompt_ids[row]),
        "completion": decode.text(ids),
        "completion_ids": list(ids),
        "tokens": decode.pieces(ids),
        "student_top": None if student is None else decode.top(student),
        "teacher_top": None if teacher is None else decode.top(teacher),
    }


def _tensors_of(micro_batch: dict[str, Any], position: int, ids: Sequence[int]) -> Record:
    def tokens(name: str) -> list[Any]:
        return list(micro_batch[name][position, : len(ids)].tolist())

    weighed = "weight" in micro_batch
    active = weighed and bool(micro_batch["credit_active"][position].any())
    written = torch.ones(len(ids), dtype=torch.bool)
    if "tool_mask" in micro_batch:
        written = micro_batch["tool_mask"][position, : len(ids)].bool()
    return {
        "written": written.tolist(),
        "route": Route(int(micro_batch["route"][position])).name.lower(),
        "reference": int(micro_batch["reference"][position]) if "reference" in micro_batch else -1,
        "advantage": _base_advantage(micro_batch, position),
        "threshold_c": float(micro_batch["threshold_c"][position]) if weighed else None,
        "kl": tokens("kl") if active else None,
        "weight": tokens("weight") if weighed else [1.0] * len(ids),
        **{name: tokens(name) if active and name in micro_batch else None for name in SCORED},
    }


def _base_advantage(micro_batch: dict[str, Any], position: int) -> float:
    """The rollout's advantage before it is weighted; its mean where each token has its own."""
    name = "base_advantage" if "base_advantage" in micro_batch else "advantages"
    advantage: Tensor = micro_batch[name][position]
    if advantage.dim() == 0:
        return float(advantage)
    written = written_tokens(micro_batch)[position]
    return float(advantage[written].mean()) if bool(written.any()) else 0.0
