"""Section 2: the teacher's prompt = system prompt + guide + reference, then the student's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from transformers import PreTrainedTokenizerBase

from scgrpo.teachers.fit import FitWatch, Misfit
from scgrpo.teachers.guides import PLACEHOLDER, resolve_guide
from scgrpo.teachers.quoting import Passage, QuotingTokenizer
from scgrpo.teachers.templates import SEPARATOR, ChatTemplate, Message, Opening
from scgrpo.teachers.transcripts import CUT_MARK, Excerpt, Transcripts

Prompt = str | list[Message]


@dataclass(frozen=True)
class TeacherPrompt:
    """Token ids of one teacher prompt, and whether its reference had to be cut."""

    ids: list[int]
    reference_cut: bool


@dataclass(frozen=True)
class TeacherPrompts:
    """Builds teacher prompts through the tokenizer's own chat template.

    The template settings must be those of the student's prompts, so that both end in the same
    generation prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    guide: str
    """Name of a guide, or a text with `{reference}`."""
    max_length: int
    """Longest teacher prompt plus completion, in tokens."""
    chat_template: str | None = None
    """Template that replaces the tokenizer's own."""
    template_options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the template, such as enable_thinking."""
    reference_thinking: str = "template"
    """One of `scgrpo.teachers.thinking.THINKING`."""
    ids_are_given: bool = False
    """Whether the student's prompts may be something else than what the template makes."""
    fit: FitWatch = field(default_factory=FitWatch, compare=False)
    """Says what did not fit."""

    def __post_init__(self) -> None:
        resolve_guide(self.guide)

    def build(
        self,
        prompt: Prompt,
        student_prompt_ids: Sequence[int],
        reference_ids: Sequence[int],
        completion_length: int,
        tools: list[Any] | None = None,
        reference_written: Sequence[int] | None = None,
    ) -> TeacherPrompt | None:
        """Prompt of the teacher for one rollout.

        Args:
            prompt: messages or text, as the student saw them.
            student_prompt_ids: token ids of the student's prompt.
            reference_ids: token ids of the reference completion.
            completion_length: tokens of the rollout that will be scored behind this prompt.
            tools: tools that the student's prompt was rendered with.
            reference_written: 1 for the reference's tokens that the model wrote, 0 for those of
                tools; all by default.

        Where the student's prompt is something else than the template's rendering, guide and
        reference stand in front of its ids, which stay what they are.

        Returns:
            The prompt, its reference shortened where prompt and completion would exceed
            `max_length` (`scgrpo.teachers.transcripts`); None where not even an empty reference
            fits.

        Raises:
            ValueError: if the template ends the teacher's prompt otherwise than the student's, or
                has no place for a reference.
        """
        room = self.max_length - completion_length
        opening = self._opening(prompt, tools)
        reference: Excerpt | None = self.transcripts.excerpt(reference_ids, reference_written)
        as_given = self.ids_are_given and self._ids(prompt, tools) != list(student_prompt_ids)
        while reference is not None:
            if as_given:
                ids = self._in_front(reference.text, student_prompt_ids)
            else:
                ids = self._filled(prompt, opening, reference.text)
            if len(ids) <= room:
                if not as_given:
                    self._check_ending(ids, student_prompt_ids, prompt)
                return TeacherPrompt(ids, reference_cut=reference.is_cut)
            # The cut text may tokenize a little longer than it was: shorten until it fits.
            reference = reference.shorter(by=len(ids) - room)
        return None

    def misfit(
        self,
        prompt: Prompt,
        student_prompt_ids: Sequence[int],
        completion_length: int,
        tools: list[Any] | None = None,
    ) -> Misfit:
        """The lengths of a prompt that `build` found too long, its reference left out.

        Args:
            prompt: as for `build`, like the others.
            student_prompt_ids: token ids of the student's prompt.
            completion_length: tokens of the rollout.
            tools: tools that the student's prompt was rendered with.
        """
        least = self._filled(prompt, self._opening(prompt, tools), CUT_MARK.strip())
        own = len(student_prompt_ids)
        return Misfit(len(least) - own, own, completion_length, self.max_length)

    @cached_property
    def transcripts(self) -> Transcripts:
        """Makes the references."""
        return Transcripts(
            self.tokenizer, self.chat_template, self.template_options, self.reference_thinking
        )

    @cached_property
    def template(self) -> ChatTemplate:
        """Renders conversations."""
        return ChatTemplate(self.tokenizer, self.chat_template, self.template_options)

    def _opening(self, prompt: Prompt, tools: list[Any] | None) -> Opening:
        if isinstance(prompt, str):
            return Opening("", SEPARATOR + prompt, prompt)
        return self.template.opening(prompt, tools)

    def _ids(self, prompt: Prompt, tools: list[Any] | None) -> list[int]:
        """What the template makes of the student's prompt."""
        text = prompt if isinstance(prompt, str) else self.template.render(prompt, tools=tools)
        return self._encode([Passage(text)], prompt)

    def _in_front(self, reference: str, student_ids: Sequence[int]) -> list[int]:
        """Guide and reference in front of a prompt that is not the template's."""
        begins = int(list(student_ids[:1]) == [self.tokenizer.bos_token_id])
        shown = self._quoting.encode(self._guided("", reference, SEPARATOR))
        return [*student_ids[:begins], *shown, *student_ids[begins:]]

    def _filled(self, prompt: Prompt, opening: Opening, reference: str) -> list[int]:
        """Token ids of the prompt with guide and reference."""
        return self._encode(self._guided(opening.before, reference, opening.after), prompt)

    def _guided(self, before: str, reference: str, after: str) -> list[Passage]:
        head, *tails = resolve_guide(self.guide).split(PLACEHOLDER)
        passages = [Passage(before + head)]
        for tail in tails:
            passages += [Passage(reference, is_quoted=True), Passage(tail)]
        return [*passages, Passage(after)]

    def _encode(self, passages: Sequence[Passage], prompt: Prompt) -> list[int]:
        return self._quoting.encode(passages, add_special_tokens=isinstance(prompt, str))

    @cached_property
    def _quoting(self) -> QuotingTokenizer:
        return QuotingTokenizer.of(self.template)

    @cached_property
    def _generation_prompt_length(self) -> int:
        messages = [{"role": "user", "content": "x"}]
        without = self.template.ids(messages, generate=False)
        return len(self.template.ids(messages)) - len(without)

    def _check_ending(self, ids: list[int], student_ids: Sequence[int], prompt: Prompt) -> None:
        length = 1 if isinstance(prompt, str) else max(self._generation_prompt_length, 1)
        if ids[-length:] != list(student_ids[-length:]):
            raise ValueError(
                "the chat template ends the teacher's prompt in "
                f"{self.tokenizer.decode(ids[-length:])!r} but the student's in "
                f"{self.tokenizer.decode(list(student_ids[-length:]))!r}; give the trainer the "
                "template and chat_template_kwargs with which the prompts were rendered."
            )
