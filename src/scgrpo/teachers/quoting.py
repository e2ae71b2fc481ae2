"""Text that is quoted to a model: what looks like a control token in it stays text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from scgrpo.teachers.templates import ChatTemplate


class Passage(NamedTuple):
    """A part of a prompt."""

    text: str
    is_quoted: bool = False


@dataclass(frozen=True)
class QuotingTokenizer:
    """Encodes prompts of which a part is quoted."""

    tokenizer: PreTrainedTokenizerBase
    control: frozenset[int]
    """Tokens that no quoted text may become."""

    @classmethod
    def of(cls, template: ChatTemplate) -> "QuotingTokenizer":
        """Special tokens are control tokens, and so are added ones that frame a user's turn."""
        tokenizer = template.tokenizer
        added = tokenizer.added_tokens_decoder
        special = {token for token, content in added.items() if content.special}
        turn = template.try_render([{"role": "user", "content": "x"}], generate=False) or ""
        frame = tokenizer(turn, add_special_tokens=False)["input_ids"]
        control = special.union(tokenizer.all_special_ids, added.keys() & set(frame))
        return cls(tokenizer, frozenset(control))

    def encode(self, passages: Sequence[Passage], *, add_special_tokens: bool = False) -> list[int]:
        """Token ids of the passages as one text.

        Args:
            passages: parts of the text.
            add_special_tokens: whether the tokenizer adds those of its own around the text.
        """
        if not self.tokenizer.is_fast:
            return self._encode_apart(passages, add_special_tokens=add_special_tokens)
        text = "".join(passage.text for passage in passages)
        encoded = self.tokenizer(
            text, add_special_tokens=add_special_tokens, return_offsets_mapping=True
        )
        quoted = list(_quoted_spans(passages))
        ids: list[int] = []
        for token, (start, end) in zip(
            encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            piece = text[start:end]
            first = end - len(piece.lstrip())  # some tokens swallow the space in front of them
            if piece and token in self.control and any(a <= first < b for a, b in quoted):
                ids += plain_ids(self.tokenizer, piece[:1]) + plain_ids(self.tokenizer, piece[1:])
            else:
                ids.append(token)
        return ids

    def _encode_apart(self, passages: Sequence[Passage], *, add_special_tokens: bool) -> list[int]:
        """The same by a tokenizer that does not say which text became which token."""
        ids: list[int] = []
        for passage in passages:
            encoded = self.tokenizer(
                passage.text, add_special_tokens=False, split_special_tokens=passage.is_quoted
            )
            ids += encoded["input_ids"]
        if add_special_tokens:
            return list(self.tokenizer.build_inputs_with_special_tokens(ids))
        return ids


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text, without special tokens even where it spells them."""
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)
    return list(encoded["input_ids"])


def _quoted_spans(passages: Sequence[Passage]) -> Iterator[tuple[int, int]]:
    position = 0
    for passage in passages:
        if passage.is_quoted:
            yield position, position + len(passage.text)
        position += len(passage.text)
