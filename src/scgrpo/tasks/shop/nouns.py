"""Nouns of product titles, by which the reward tells what kind of thing was bought."""

import re
from collections.abc import Callable
from functools import lru_cache

from scgrpo.extras import install
from scgrpo.tasks.shop.words import words

ReadNouns = Callable[[str], tuple[str, ...]]

SPACY_MODELS = ("en_core_web_sm", "en_core_web_md", "en_core_web_lg")
"""Models that are looked for; the first one is the original's."""
NOUNS = ("NOUN", "PROPN")

# A word with inner dots or digits stays whole; hyphens and slashes part words, as spaCy has it.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[.'\u2019](?=[^\W_]))*")
_POSSESSIVE = re.compile(r"['\u2019]s?$")
_NUMBER = re.compile(r"[\d.,]+")


def find_nouns(name: str = "auto") -> ReadNouns:
    """The reader of nouns.

    Args:
        name: `spacy`, the original's part-of-speech tags; `words`, every word of the title but
            function words and numbers; `auto`, spaCy where one of its models is installed.

    Raises:
        ValueError: for another name, or spaCy without a model.
    """
    if name not in ("auto", "spacy", "words"):
        raise ValueError(f"nouns is {name!r}; choose auto, spacy or words.")
    reader = None if name == "words" else _spacy_nouns()
    if reader is None and name == "spacy":
        command = f"{install('spacy')} && python -m spacy download {SPACY_MODELS[0]}"
        raise ValueError(
            f"nouns is 'spacy', but none of {', '.join(SPACY_MODELS)} is installed; run "
            f"`{command}`, or set nouns to words."
        )
    return reader or title_words


def title_words(title: str) -> tuple[str, ...]:
    """Every word but function words and numbers, in lower case, repeated as in the title.

    Of the words of a product title most are tagged as nouns or proper nouns, so this comes near
    the original; adjectives and verbs count here, and do not there.
    """
    found = (_POSSESSIVE.sub("", word.lower()) for word in _WORD.findall(title))
    never = words()["function_words"]
    return tuple(w for w in found if w not in never and not _NUMBER.fullmatch(w))


@lru_cache(maxsize=1)
def _spacy_nouns() -> ReadNouns | None:
    try:
        import spacy
    except ImportError:
        return None
    model = next((m for m in SPACY_MODELS if spacy.util.is_package(m)), None)
    return None if model is None else _SpacyNouns(spacy.load(model))


class _SpacyNouns:
    def __init__(self, tag: Callable[[str], object]) -> None:
        self._tag = lru_cache(maxsize=65536)(
            lambda title: tuple(t.text.lower() for t in tag(title) if t.pos_ in NOUNS)  # type: ignore[attr-defined]
        )

    def __call__(self, title: str) -> tuple[str, ...]:
        return self._tag(title)
