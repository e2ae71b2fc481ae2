"""Whether a completion's final answer equals the gold answer, by math-verify; runs in a worker."""

from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

from scgrpo.tasks.math.answers import final_answer, result, tidy

# The answer is cut out before: math-verify is not to look for another one in its text.
_CONFIG = (LatexExtractionConfig(boxed_match_priority=-1),)


def score_answer(completion: str, gold: str, hashes: bool = False) -> float:
    """1.0 if the final answer equals the gold answer, else 0.0.

    math-verify's own time limits need the main thread and are off: call this where a time limit
    ends it from outside.

    Args:
        completion: text of the completion.
        gold: the gold answer, in LaTeX.
        hashes: whether a line `#### ...` is an answer where nothing is boxed.

    Raises:
        ValueError: for a gold answer that cannot be read.
        Exception: whatever the comparison raised, where it came to no result.
    """
    answer = final_answer(completion, hashes=hashes)
    if answer is None:
        return 0.0
    expected = tidy(gold)
    given = result(tidy(answer), expected)
    return float(_equal(_gold(expected), _parse(given))) if given else 0.0


@lru_cache(maxsize=256)
def _gold(text: str) -> list[Any]:
    parsed = _parse(text)
    if not parsed:
        raise ValueError(f"the gold answer {text!r} cannot be read")
    return parsed


def _parse(text: str) -> list[Any]:
    """The answer as sympy reads it, if it does, and as normalised text."""
    return parse(f"${text}$", _CONFIG, extraction_mode="first_match", parsing_timeout=None)


def _equal(gold: list[Any], answer: list[Any]) -> bool:
    settings = {"timeout_seconds": None, "allow_set_relation_comp": True}
    try:
        return verify(gold, answer, raise_on_error=True, **settings)
    except Exception:
        # Equal as text, where sympy cannot compare: 6:00 is a division by zero to it.
        if verify(gold, answer, raise_on_error=False, **settings):
            return True
        raise
