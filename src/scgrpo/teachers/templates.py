"""The student's prompt as its chat template renders it, opened for more system text.

The student's own system message, given or the template's default, stays in front of what is added:
nothing else may tell the two prompts apart.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from transformers import PreTrainedTokenizerBase

Message = dict[str, Any]

SEPARATOR = "\n\n"
_MARK = "scgrpo-probe"


@dataclass(frozen=True)
class Opening:
    """A student's prompt in two parts, between which an addition belongs."""

    before: str
    after: str
    bare: str
    """The two parts without what only separates the addition from them: the student's prompt."""


@dataclass(frozen=True)
class ChatTemplate:
    """The template and settings with which the student's prompts are rendered."""

    tokenizer: PreTrainedTokenizerBase
    template: str | None = None
    """Template that replaces the tokenizer's own."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the template, such as enable_thinking."""

    def render(
        self, messages: list[Message], *, generate: bool = True, tools: list[Any] | None = None
    ) -> str:
        """A conversation as text."""
        return str(
            self.tokenizer.apply_chat_template(
                messages,
                tools=tools or None,
                chat_template=self.template,
                add_generation_prompt=generate,
                tokenize=False,
                **self.options,
            )
        )

    def ids(self, messages: list[Message], **options: Any) -> list[int]:
        """A conversation as token ids."""
        rendered = self.render(messages, **options)
        return list(self.tokenizer(rendered, add_special_tokens=False)["input_ids"])

    def try_render(self, messages: list[Message], **options: Any) -> str | None:
        """A conversation as text, None where the template refuses it."""
        try:
            return self.render(messages, **options)
        except Exception:  # a template refuses a role by raising whatever Jinja raises
            return None

    def opening(self, messages: list[Message], tools: list[Any] | None = None) -> Opening:
        """Where the system text of a conversation ends.

        Without system text, the conversation gets a message for it; with a template that knows no
        such message, the addition stands in front of the first user message.

        Args:
            messages: as the student saw them.
            tools: tools that the student's prompt was rendered with.

        Raises:
            ValueError: for a template that shows an addition nowhere.
        """
        student = self.render(messages, tools=tools)
        is_given = bool(messages) and messages[0].get("role") in ("system", "developer")
        system = messages[0] if is_given else {"role": "system"}
        others = messages[1:] if is_given else messages
        for content in (_MARK, [{"type": "text", "text": _MARK}]):
            parts = self._around_mark([{**system, "content": content}, *others], tools)
            if parts and (found := _behind_own(student, *parts)):
                return found
            if parts and not is_given:
                return _new_message(student, *parts)
        # A system message may say how other text is rendered, so that it cannot be left out.
        if is_given and (
            parts := self._around_mark([_extended(system, after=_MARK), *others], tools)
        ):
            before, after = parts
            bare = before.removesuffix(SEPARATOR) + after
            return _behind_own(student, before, after) or Opening(before, after, bare)
        return self._before_user(messages, tools)

    def _before_user(self, messages: list[Message], tools: list[Any] | None) -> Opening:
        users = [place for place, m in enumerate(messages) if m.get("role") == "user"]
        first = users[0] if users else 0
        longer = _extended(messages[first], before=_MARK)
        if parts := self._around_mark([*messages[:first], longer, *messages[first + 1 :]], tools):
            before, after = parts
            return Opening(before, after, before + after.removeprefix(SEPARATOR))
        raise ValueError(
            "the chat template shows neither a system message nor the text of the first user "
            "message, so that a teacher prompt has no place for its reference; set "
            "chat_template_path to a template that does, or preset='grpo'."
        )

    def _around_mark(
        self, messages: list[Message], tools: list[Any] | None
    ) -> tuple[str, str] | None:
        """What is rendered before and behind the mark, None where it is not shown once."""
        text = self.try_render(messages, tools=tools) or ""
        before, _, after = text.partition(_MARK)
        return (before, after) if text.count(_MARK) == 1 else None


def _behind_own(student: str, before: str, after: str) -> Opening | None:
    """The opening behind the system text that a prompt has, None where it has no such text.

    Args:
        student: the prompt.
        before: what stands before a mark that is all of the system text or the end of it.
        after: what stands behind the mark.
    """
    lead = student.removesuffix(after)
    if not student.endswith(after):
        return None
    if lead.startswith(before):
        separator = SEPARATOR if lead[len(before) :].strip() else ""
    elif before.startswith(lead) and before[len(lead) :].isspace():
        separator = SEPARATOR
    else:
        return None
    return Opening(lead + separator, after, lead + after)


def _new_message(student: str, before: str, after: str) -> Opening:
    """The opening in a system message that the prompt itself does not have."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(student, before, strict=False))
    rest = student[len(list(same)) :]
    return Opening(before, after, student if after.endswith(rest) else before + after)


def _extended(message: Message, before: str = "", after: str = "") -> Message:
    """The message with more text, apart from its own; content given as parts stays parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return {**message, "content": SEPARATOR.join(filter(None, (before, content, after)))}
    texts = [place for place, part in enumerate(content) if part.get("type") == "text"]
    if not texts:
        added = {"type": "text", "text": before or after}
        return {**message, "content": [added, *content] if before else [*content, added]}
    parts = list(content)
    place = texts[0] if before else texts[-1]
    text = SEPARATOR.join(filter(None, (before, parts[place]["text"], after)))
    parts[place] = {**parts[place], "text": text}
    return {**message, "content": parts}
