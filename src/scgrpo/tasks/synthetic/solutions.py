"""Solutions: additions in any order, with wording between them.

A solution of 7+12+18 is `then so 12+18=30; well now 7+30=37; `. Each step takes two of the
numbers that are left and puts back their sum.
"""

import random
import re
from collections.abc import Sequence

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
_SOLUTION = re.compile(rf"(?:(?:[a-z]+ )*{_NUMBER}\+{_NUMBER}={_NUMBER}; )+")


def routine_words(share: float) -> int:
    """Words before each step that make up this share of a solution's tokens."""
    return round(STEP_TOKENS * share / (1 - share))


def write_solution(
    numbers: Sequence[int],
    rng: random.Random,
    *,
    words: int = 0,
    error_rate: float = 0.0,
    known: frozenset[str] = frozenset(),
    known_error_rate: float = 0.0,
) -> str:
    """A solution in random order.

    Args:
        numbers: summands, two or more.
        rng: where order, wording and errors come from.
        words: routine words before each step.
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
        wording = "".join(rng.choice(WORDS) + " " for _ in range(words))
        parts.append(f"{wording}{first}+{second}={total}; ")
    return "".join(parts)


def steps_of(solution: str) -> frozenset[str]:
    """The steps of a solution, both ways round, without the wording."""
    found = _STEP.findall(solution)
    return frozenset(f"{x}+{y}={s}" for a, b, s in found for x, y in ((a, b), (b, a)))


def is_correct(solution: str, numbers: Sequence[int]) -> bool:
    """Whether each step adds two numbers that are left, rightly, until one is left."""
    if not _SOLUTION.fullmatch(solution):
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
