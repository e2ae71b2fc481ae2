"""A problem: a table of numbers that nobody shows, and the names whose sum is asked for."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scgrpo.tasks.embedded import HELD_OUT_SHARE

NAMES = (
    *("apple", "cherry", "fig", "grape", "guava", "kiwi", "lemon", "lime"),
    *("mango", "melon", "olive", "papaya", "peach", "pear", "plum", "quince"),
)
LARGEST = 9
UNKNOWN = "none"
"""What a look at a name that the table does not have brings."""


@dataclass(frozen=True)
class Problem:
    """What is asked for, and the table."""

    asked: tuple[str, ...]
    numbers: tuple[int, ...]
    """Number of each of `NAMES`."""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Problem":
        """The problem of a row of the task.

        Raises:
            ValueError: for a row that is none of the task.
        """
        asked, numbers = row.get("asked"), row.get("numbers")
        known = asked and numbers and len(numbers) == len(NAMES) and set(asked) <= set(NAMES)
        if not known:
            raise ValueError(
                f"row {row.get('problem_id', '')!r} is none of the lookup task: it needs `asked`, "
                f"names such as {NAMES[0]!r}, and `numbers`, one for each of {len(NAMES)} names."
            )
        return cls(tuple(asked), tuple(numbers))

    def number(self, name: str) -> int:
        return self.numbers[NAMES.index(name)]

    @property
    def answer(self) -> int:
        return sum(map(self.number, self.asked))

    def look(self, name: str) -> str:
        """The entry of a name, and one that was not asked for, such as `plum=12; kiwi=9; `."""
        if name not in NAMES:
            return UNKNOWN
        return "".join(f"{n}={self.number(n)}; " for n in (name, self.beside(name)))

    def beside(self, name: str) -> str:
        """The entry that is shown behind that of a name: always the same one."""
        others = [n for n in NAMES if n != name and n not in self.asked]
        return random.Random("/".join([*map(str, self.numbers), name])).choice(others)

    @property
    def is_held_out(self) -> bool:
        """Whether the problem belongs to the held-out splits, in whatever order its names stand."""
        text = ",".join([*sorted(self.asked), *map(str, self.numbers)])
        return hashlib.sha256(text.encode()).digest()[0] < 256 * HELD_OUT_SHARE


def draw_problem(rng: random.Random, names: int) -> Problem:
    """A table and so many of its names."""
    return Problem(tuple(rng.sample(NAMES, names)), tuple(rng.randint(1, LARGEST) for _ in NAMES))


def draw_unlike(rng: random.Random, names: Sequence[str]) -> str:
    """A name that is none of these."""
    return rng.choice([n for n in NAMES if n not in names])
