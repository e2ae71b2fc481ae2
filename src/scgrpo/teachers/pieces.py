"""The text of each token, where it stands in a text."""

from collections.abc import Sequence
from functools import cached_property

from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
"""What decoding makes of bytes that are no whole character."""
_LONGEST = 8
"""Tokens that are tried together for whole characters, at most."""


class Pieces:
    """Texts of tokens, which together are the text.

    A token is decoded behind another: alone, many tokenizers (Llama 2's, Mistral's) take the space
    in front of it away. Where several tokens share a character, it stands at the last of them, and
    the others are empty.

    Args:
        tokenizer: that made the tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._single: dict[int, str] = {}

    def __call__(self, ids: Sequence[int]) -> list[str]:
        texts = self.alone(ids)
        place = 0
        while place < len(ids):
            if _BROKEN in texts[place]:
                end = self._whole(ids, texts, place)
                if end:
                    texts[place:end] = [*[""] * (end - place - 1), self._behind(ids[place:end])]
                    place = end - 1
            place += 1
        return texts

    def alone(self, ids: Sequence[int]) -> list[str]:
        """The same of tokens that do not follow each other."""
        for token in set(ids).difference(self._single):
            self._single[token] = self._behind([token])
        return [self._single[token] for token in ids]

    def _whole(self, ids: Sequence[int], texts: Sequence[str], start: int) -> int | None:
        """Where the characters end that begin at a token, None where they never do."""
        for end in range(start + 2, min(start + _LONGEST, len(ids)) + 1):
            if _BROKEN not in texts[end - 1]:
                return None
            if not self._behind(ids[start:end]).endswith(_BROKEN):
                return end
        return None

    def _behind(self, ids: Sequence[int]) -> str:
        anchor, before = self._anchor
        text = str(self.tokenizer.decode([*anchor, *ids]))
        return text[len(before) :] if text.startswith(before) else self._decode(ids)

    @cached_property
    def _anchor(self) -> tuple[list[int], str]:
        ids = list(self.tokenizer("a", add_special_tokens=False)["input_ids"])
        return ids, self._decode(ids)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids)))
