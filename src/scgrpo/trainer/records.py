"""Rows of the rollout log: enough to redraw every picture without the model."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from scgrpo.credit.credit import Attached
from scgrpo.credit.scoring import SCORED, Inspection, TopTokens
from scgrpo.method import Route
from scgrpo.rollouts import Batch, written_tokens
from scgrpo.teachers.pieces import Pieces
from scgrpo.teachers.transcripts import Transcripts

Record = dict[str, Any]
OF_SOME = ("kl", *SCORED, "token_advantage", "student_top", "teacher_top")
"""Columns that are null where a rollout has none of it."""


@dataclass(frozen=True)
class WeighedBatch:
    """A generation batch as it is trained on, for those who keep records of it."""

    attached: Attached
    micro_batches: list[Batch]
    """Shuffled, cut and weighed."""


RolloutSink = Callable[[WeighedBatch], None]


def rollout_records(weighed: WeighedBatch, decode: "Decoder") -> list[Record]:
    """One record per rollout of all processes, in the order in which they were generated.

    Args:
        weighed: a generation batch; all processes must give theirs.
        decode: from token ids to text.

    Returns:
        Records with the columns of the run folder's rollout table.
    """
    step = weighed.attached.step
    rows: dict[int, Record] = {}
    for micro_batch in weighed.micro_batches:
        for position, row in enumerate(micro_batch["rollout_row"].tolist()):
            rows[row] = _tensors_of(micro_batch, position, step.rollouts.completion_ids[row])
    size = step.reward_NG.shape[1]
    rewards = step.reward_NG.flatten()[step.local].tolist()
    records = [
        {
            "step": step.step,
            "group": (step.local.start + row) // size,
            "index": (step.local.start + row) % size,
            "reward": rewards[row],
            **dict.fromkeys(OF_SOME),
            **_texts_of(weighed.attached, row, decode),
            **rows[row],
        }
        for row in range(len(step.rollouts))
    ]
    everywhere = step.world.gather_objects(records)
    transcripts = [record.pop("transcript") for record in everywhere]
    for record in everywhere:
        reference = record["reference"]
        if reference >= 0:
            record["reference_text"] = transcripts[reference]
            record["reference"] = reference % size
    return everywhere


class Decoder:
    """From token ids to text.

    Args:
        tokenizer: of the policy.
        chat_template: template that replaces the tokenizer's own.
        template_options: further arguments of the template.
        reference_thinking: what references show of `<think>` blocks.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        chat_template: str | None = None,
        template_options: dict[str, Any] | None = None,
        reference_thinking: str = "template",
    ) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.items()
        self.pieces = Pieces(tokenizer)
        self._special = {*tokenizer.all_special_ids, *(i for i, token in added if token.special)}
        self.transcript = Transcripts(
            tokenizer, chat_template, template_options or {}, reference_thinking
        ).text

    def text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def special(self, ids: Sequence[int]) -> list[bool]:
        """Which of them are marks of the template or the end, and no text."""
        return [token in self._special for token in ids]

    def top(self, top: TopTokens) -> list[list[Record]]:
        return [
            [{"token": p, "prob": q} for p, q in zip(self.pieces.alone(ids), probs, strict=True)]
            for probs, ids in zip(top[0].tolist(), top[1].tolist(), strict=True)
        ]


def _texts_of(attached: Attached, row: int, decode: Decoder) -> Record:
    rollouts, shown = attached.step.rollouts, attached.references.shown[row]
    ids = rollouts.completion_ids[row]
    written = rollouts.written[row] if rollouts.written else None
    outside = shown[0] if shown and shown[0].number < 0 else None
    return {
        "reference_text": None if outside is None else decode.transcript(outside.ids, outside.mask),
        "transcript": decode.transcript(ids, written),
        "prompt": decode.text(rollouts.prompt_ids[row]),
        "completion": decode.text(ids),
        "completion_ids": list(ids),
        "tokens": decode.pieces(ids),
        "special": decode.special(ids),
        "problem": rollouts.problem(row),
        "messages": _messages(rollouts.prompts[row]),
        **_inspected(attached.passes.inspections.get(row), decode),
    }


def _inspected(found: Inspection | None, decode: Decoder) -> Record:
    if found is None:
        return {}
    return {
        "student_top": decode.top(found.student_top),
        "teacher_top": decode.top(found.teacher_top),
        "logp": found.student_logp.tolist(),
        "teacher_logp": found.teacher_logp.tolist(),
    }


def _messages(prompt: Any) -> list[Record] | None:
    """Roles and texts of a prompt of messages, None for one of text."""
    if isinstance(prompt, str):
        return None
    return [{"role": str(m["role"]), "content": _content(m)} for m in prompt]


def _content(message: Record) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "\n".join(str(part.get("text", f"[{part.get('type')}]")) for part in content)
    calls = message.get("tool_calls")
    said = [content, *(json.dumps(call, ensure_ascii=False, default=str) for call in calls or ())]
    return "\n".join(filter(None, said))


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
        **_base_advantage(micro_batch, position, len(ids)),
        "threshold_c": (
            float(micro_batch["threshold_c"][position]) if "threshold_c" in micro_batch else None
        ),
        "weight": tokens("weight") if weighed else [1.0] * len(ids),
        **{name: tokens(name) for name in ("kl", *SCORED) if active and name in micro_batch},
    }


def _base_advantage(micro_batch: dict[str, Any], position: int, length: int) -> Record:
    """The rollout's advantage before it is weighted; its mean where each token has its own."""
    name = "base_advantage" if "base_advantage" in micro_batch else "advantages"
    advantage: Tensor = micro_batch[name][position]
    if advantage.dim() == 0:
        return {"advantage": float(advantage)}
    written = written_tokens(micro_batch)[position]
    mean = float(advantage[written].mean()) if bool(written.any()) else 0.0
    return {"advantage": mean, "token_advantage": advantage[:length].tolist()}
