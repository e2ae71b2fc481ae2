"""Solutions: additions in any order, with wording between them.

A solution of 7+12+18 is `then so 12+18=30; well now 7+30=37; `. Each step takes two of the
numbers that are left and puts back their sum. Wording may also be written with the symbols of the
steps, `7302; 12+18=30; ` (digits) or `4+19; 12+18=30; ` (sums), whose numbers
are none of the problem's.
"""

import random
import re
from collections.abc import Callable, Sequence

WORDS = (
    *("well", "so", "now", "then", "next", "okay", "right", "let", "us", "see", "first"),
    *("take", "add", "these", "two", "here", "goes", "just", "keep", "going", "again"),
    *("still", "one", "more", "thing", "look", "at", "this", "pair", "and", "that", "gives"),
)
"""The pool of routine words: drawn uniformly and independently, read by no verifier."""

STEP_TOKENS = 8
"""Tokens of a usual step such as `27+8=35; `, one for each digit and sign."""

# Bounded, because int() raises on thousands of digits and a policy may write any number of them.
_NUMBER = "[1-9][0-9]{0,8}"
_STEP = re.compile(rf"({_NUMBER})\+({_NUMBER})=({_NUMBER}); ")
_ADDITION = rf"{_NUMBER}\+{_NUMBER}={_NUMBER}; "
_SOLUTION = re.compile(rf"(?:(?:[a-z]+ )*{_ADDITION})+")
_WITH_NUMBERS = re.compile(rf"(?:(?:[0-9+]+; )*{_ADDITION})+")
_MOST_SUMMAND = 20


def _words(rng: random.Random, tokens: int) -> str:
    return "".join(rng.choice(WORDS) + " " for _ in range(tokens))


def _digits(rng: random.Random, tokens: int) -> str:
    """A row of random digits; two tokens at least, since it ends with a sign."""
    return "".join(rng.choice("0123456789") for _ in range(max(1, tokens - 1))) + "; "


def _sums(rng: random.Random, tokens: int) -> str:
    """Random summands, cut off where the tokens are used up."""
    text = str(rng.randint(1, _MOST_SUMMAND))
    while len(text) < tokens - 1:
        text += f"+{rng.randint(1, _MOST_SUMMAND)}"
    return text[: max(1, tokens - 1)].rstrip("+") + "; "


WORDINGS: dict[str, Callable[[random.Random, int], str]] = {
    "words": _words,
    "digits": _digits,
    "sums": _sums,
}
"""Routine text of about so many tokens; what it says is drawn without a look at the problem."""


def routine_words(share: float) -> int:
    """Words before each step that make up this share of a solution's tokens."""
    return round(STEP_TOKENS * share / (1 - share))


def write_solution(
    numbers: Sequence[int],
    rng: random.Random,
    *,
    words: int = 0,
    wording: str = "words",
    error_rate: float = 0.0,
    known: frozenset[str] = frozenset(),
    known_error_rate: float = 0.0,
) -> str:
    """A solution in random order.

    Args:
        numbers: summands, two or more.
        rng: where order, wording and errors come from.
        words: routine tokens before each step.
        wording: what they are, one of `WORDINGS`.
        error_rate: chance that a step's sum is wrong.
        known: steps such as `12+18=30` that a reference shows.
        known_error_rate: chance of an error in a step that is known.
    """
    left, parts = list(numbers), []
    while len(left) > 1:
        first, second = (left.pop(rng.randrange(len(left))) for _ in range(2))
        total = first + second
        shown = f"{first}+{second}={total}" in known
        if rng.random() < (known_error_rate if shown else error_rate):
            total = misadd(total, rng)
        left.append(total)
        routine = WORDINGS[wording](rng, words) if words else ""
        parts.append(f"{routine}{first}+{second}={total}; ")
    return "".join(parts)


def steps_of(solution: str) -> frozenset[str]:
    """The steps of a solution, both ways round, without the wording."""
    found = _STEP.findall(solution)
    return frozenset(f"{x}+{y}={s}" for a, b, s in found for x, y in ((a, b), (b, a)))


def spans_of(solution: str) -> list[tuple[int, int]]:
    """Where each step begins and ends, without the wording before it."""
    return [found.span() for found in _STEP.finditer(solution)]


def is_correct(solution: str, numbers: Sequence[int], wording: str = "words") -> bool:
    """Whether each step adds two numbers that are left, rightly, until one is left."""
    if not (_SOLUTION if wording == "words" else _WITH_NUMBERS).fullmatch(solution):
        return False
    left = list(numbers)
    for first, second, total in _STEP.findall(solution):
        for summand in (int(first), int(second)):
            if summand not in left:
                return False
            left.remove(summand)
        if int(first) + int(second) != int(total):
            return False
        left.append(int(total))
    return len(left) == 1


def misadd(total: int, rng: random.Random) -> int:
    """A number that differs from the sum in one digit."""
    digits = str(total)
    while True:
        place = rng.randrange(len(digits))
        wrong = digits[:place] + rng.choice("0123456789") + digits[place + 1 :]
        if wrong != digits and not wrong.startswith("0"):
            return int(wrong)
