"""Whether an output is the expected one. Runs outside of the sandbox, on text and plain data."""

from decimal import Decimal, InvalidOperation, Overflow, localcontext
from typing import Any

from scgrpo.tasks.sandbox.inside.values import Tree


def same_output(actual: str, expected: str, *, by_lines: bool = True, tolerance: float = 0) -> bool:
    """Whether two texts are the same output.

    LiveCodeBench's rule, with `by_lines` and without tolerance: white space around the whole and
    around each line does not count, and a line that differs is still the same if all its words are
    numbers of the same exact value, such as `1.0` and `1`.

    Args:
        actual: what the program wrote.
        expected: what it should have written.
        by_lines: whether line breaks count; else the words are compared, as judges' usual
            checkers do.
        tolerance: absolute or relative difference allowed where the expected word is a number
            with a decimal point or an exponent.
    """
    if not by_lines:
        return _same_words(actual.split(), expected.split(), tolerance)
    lines, expected_lines = _lines(actual), _lines(expected)
    return len(lines) == len(expected_lines) and all(
        line == other or _same_words(line.split(), other.split(), tolerance, numbers_only=True)
        for line, other in zip(lines, expected_lines, strict=True)
    )


def same_value(actual: Tree, expected: Any) -> bool:
    """Whether a function returned the expected value.

    LiveCodeBench's rule: Python's equality, and a tuple on top counts as a list.

    Args:
        actual: the tree of what it returned, which may be forged.
        expected: from JSON.
    """
    if isinstance(actual, dict) and list(actual) == ["tuple"]:
        actual = actual["tuple"]
    return _equal(actual, expected)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_words(
    words: list[str], expected: list[str], tolerance: float, *, numbers_only: bool = False
) -> bool:
    if len(words) != len(expected):
        return False
    if numbers_only and not all(map(_is_number, words + expected)):
        return False
    return all(
        word == other or _same_number(word, other, tolerance)
        for word, other in zip(words, expected, strict=True)
    )


def _same_number(word: str, expected: str, tolerance: float) -> bool:
    if not (_is_number(word) and _is_number(expected)):
        return False
    number, target = Decimal(word), Decimal(expected)
    if number.is_nan() or target.is_nan():
        return False
    if number == target:
        return True
    if not tolerance or not {".", "e", "E"} & set(expected):
        return False
    with localcontext() as context:
        context.traps[Overflow] = context.traps[InvalidOperation] = False
        allowed = Decimal(tolerance) * max(Decimal(1), abs(target))
        return target.is_finite() and abs(number - target) <= allowed


def _is_number(word: str) -> bool:
    try:
        Decimal(word)
    except InvalidOperation:
        return False
    return True


def _equal(actual: Tree, expected: Any) -> bool:
    if isinstance(actual, dict):
        return _equal_dict(actual, expected)
    if isinstance(actual, list) or isinstance(expected, list):
        return (
            isinstance(actual, list)
            and isinstance(expected, list)
            and len(actual) == len(expected)
            and all(map(_equal, actual, expected))
        )
    return bool(actual == expected)


def _equal_dict(actual: dict[str, Any], expected: Any) -> bool:
    """Only the tree of a dict with text as keys can equal what JSON holds."""
    pairs = actual.get("dict")
    if not isinstance(expected, dict) or not isinstance(pairs, list):
        return False
    if not all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in pairs):
        return False
    found = dict(pairs)
    return found.keys() == expected.keys() and all(_equal(found[k], expected[k]) for k in found)
