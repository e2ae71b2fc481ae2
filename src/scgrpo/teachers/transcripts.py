"""Section 2: a reference as the teacher reads it, and shorter where it does not fit.

A rollout of one turn is its text. An episode, part of which tools wrote, is a transcript: what was
done and what came back, turn by turn.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

from scgrpo.tasks.transcript import CUT_MARK, Span, transcript
from scgrpo.teachers.quoting import plain_ids
from scgrpo.teachers.templates import ChatTemplate
from scgrpo.teachers.thinking import CLOSE, OPEN, shows_thinking, without_thinking

_PROBE = "scgrpo-probe"
_NOTHING = re.compile("")


class Excerpt(Protocol):
    """A reference, of which a part may be left out."""

    @property
    def text(self) -> str:
        """What the teacher reads."""
        ...

    @property
    def is_cut(self) -> bool:
        """Whether a part is left out."""
        ...

    def shorter(self, by: int) -> "Excerpt | None":
        """The same, shorter by about so many tokens; None where nothing is left to leave out."""
        ...


@dataclass(frozen=True)
class Transcripts:
    """Makes references of token ids."""

    tokenizer: PreTrainedTokenizerBase
    chat_template: str | None = None
    """Template that replaces the tokenizer's own."""
    template_options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the template, such as enable_thinking."""
    thinking: str = "template"
    """One of `scgrpo.teachers.thinking.THINKING`."""

    def excerpt(self, ids: Sequence[int], written: Sequence[int] | None = None) -> Excerpt:
        """The whole reference.

        Args:
            ids: token ids of a completion.
            written: 1 for the tokens that the model wrote, 0 for those of tools; all by default.
        """
        if written is None or all(written):
            return self._one_turn(ids)
        return CutEpisode(self.tokenizer, tuple(self._spans(ids, written)))

    def text(self, ids: Sequence[int], written: Sequence[int] | None = None) -> str:
        """The whole reference as text."""
        return self.excerpt(ids, written).text

    def _one_turn(self, ids: Sequence[int]) -> "CutText":
        text = self._written(ids)
        if text != _decode(self.tokenizer, ids):
            ids = plain_ids(self.tokenizer, text)
        return CutText(self.tokenizer, ids, kept=len(ids))

    def _spans(self, ids: Sequence[int], written: Sequence[int]) -> Iterator[Span]:
        before, after = self._frame
        tokens = zip(ids, written, strict=True)
        for is_written, run in groupby(tokens, key=lambda token: bool(token[1])):
            span = [token for token, _ in run]
            if is_written:
                yield Span(self._written(span), True)
            else:
                answer = _decode(self.tokenizer, span)
                yield Span(after.sub("", before.sub("", answer, count=1), count=1), False)

    def _written(self, ids: Sequence[int]) -> str:
        """What is shown of a turn of the model."""
        if self._shows_thinking:
            return _decode(self.tokenizer, ids)
        added = self.tokenizer.added_tokens_decoder
        # Where the tags are special tokens, decoding leaves them out.
        tags = {token: t.content for token, t in added.items() if t.content in (OPEN, CLOSE)}
        runs = groupby(ids, key=tags.get)
        text = "".join(tag or _decode(self.tokenizer, [*run]) for tag, run in runs)
        shown = without_thinking(text)
        return _decode(self.tokenizer, ids) if shown == text else shown

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self.tokenizer, self.chat_template, self.template_options)

    @cached_property
    def _shows_thinking(self) -> bool:
        return shows_thinking(self.thinking, self._template)

    @cached_property
    def _frame(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """What the chat template puts before and behind a tool's answer, special tokens aside.

        Found as TRL finds the tokens of an answer: by rendering a conversation with and without it.
        Some templates name the tool there (gpt-oss, Gemma 4), so any name will do.
        """
        call = {"type": "function", "function": {"name": _PROBE, "arguments": {}}}
        asked = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ]
        answered = [*asked, {"role": "tool", "name": _PROBE, "content": f"{_PROBE}-answer"}]
        without = self._template.try_render(asked, generate=False)
        rendered = self._template.try_render(answered)
        if without is None or rendered is None:
            return _NOTHING, _NOTHING
        head, end, _ = without.rpartition(str(self.tokenizer.eos_token))
        start = head + end if end else without
        parts = rendered.removeprefix(start).split(f"{_PROBE}-answer")
        if not rendered.startswith(start) or len(parts) != 2:
            return _NOTHING, _NOTHING
        before, after = (
            _decode(self.tokenizer, self.tokenizer(part, add_special_tokens=False)["input_ids"])
            for part in parts
        )
        return re.compile(rf"\A{_any_tool(before)}"), re.compile(rf"{_any_tool(after)}\Z")


@dataclass(frozen=True)
class CutText:
    """A text, cut in the middle."""

    tokenizer: PreTrainedTokenizerBase
    ids: Sequence[int]
    kept: int
    """Tokens that are left."""
    was_cut: bool = False
    """Whether the text itself lacks something."""

    @property
    def is_cut(self) -> bool:
        return self.was_cut or self.kept < len(self.ids)

    @property
    def text(self) -> str:
        return _cut(self.tokenizer, self.ids, self.kept)

    def shorter(self, by: int) -> "CutText | None":
        if self.kept == 0:
            return None
        return replace(self, kept=max(0, self.kept - max(by, 1)))


@dataclass(frozen=True)
class CutEpisode:
    """A transcript, whose observations are cut in the middle, the longest ones first.

    All observations get the same limit: those above it are cut down to it, the others are whole.
    The model's own turns are whole for as long as a single observation can be shortened; only then
    is the transcript cut in the middle, as a text is.
    """

    tokenizer: PreTrainedTokenizerBase
    spans: tuple[Span, ...]
    limit: int | None = None
    """Most tokens of an observation, the mark of the cut included."""

    @property
    def is_cut(self) -> bool:
        return self.limit is not None

    @property
    def text(self) -> str:
        return transcript(
            span if ids is None else Span(self._shown(span.text, ids), False)
            for span, ids in zip(self.spans, self._ids, strict=True)
        )

    def shorter(self, by: int) -> Excerpt | None:
        lengths = [len(ids) for ids in self._ids if ids is not None]
        longest = max(lengths) if self.limit is None else self.limit
        if longest > self._mark:
            limits = range(self._mark, longest)
            wanted = _total(lengths, longest) - max(by, 1)
            place = bisect_right(limits, wanted, key=lambda limit: _total(lengths, limit))
            return replace(self, limit=limits[max(place - 1, 0)])
        ids = plain_ids(self.tokenizer, self.text)
        return CutText(self.tokenizer, ids, len(ids), was_cut=self.is_cut).shorter(by)

    def _shown(self, text: str, ids: list[int]) -> str:
        if self.limit is None or len(ids) <= self.limit:
            return text
        return _cut(self.tokenizer, ids, self.limit - self._mark)

    @cached_property
    def _ids(self) -> list[list[int] | None]:
        """Token ids of the observations, None for the model's turns."""
        return [None if s.is_written else plain_ids(self.tokenizer, s.text) for s in self.spans]

    @cached_property
    def _mark(self) -> int:
        return len(plain_ids(self.tokenizer, CUT_MARK))


def _any_tool(frame: str) -> str:
    return re.escape(frame).replace(re.escape(_PROBE), r"\S+?")


def _total(lengths: Sequence[int], limit: int) -> int:
    return sum(min(length, limit) for length in lengths)


def _cut(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], kept: int) -> str:
    """So many tokens of a text, with a mark where the others were."""
    if kept == len(ids):
        return _decode(tokenizer, ids)
    if kept == 0:
        return CUT_MARK.strip()
    head = (kept + 1) // 2
    tail = len(ids) - (kept - head)
    return _decode(tokenizer, ids[:head]) + CUT_MARK + _decode(tokenizer, ids[tail:])


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=True))
