"""The synthetic task: rows, splits and the verifier."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from datasets import Dataset

from scgrpo.mistakes import require_known
from scgrpo.tasks.base import (
    Disagreement,
    Validation,
    check_split,
    completion_text,
    read_options,
)
from scgrpo.tasks.embedded import HELD_OUT_SHARE, TINY_TRAINING, EmbeddedTask, SplitSizes
from scgrpo.tasks.synthetic.solutions import (
    STEP_TOKENS,
    WORDINGS,
    is_correct,
    routine_words,
    spans_of,
    steps_of,
    write_solution,
)

LARGEST, MOST_STEPS = 20, 20
FEW_STEPS = 6
PATIENCE = 10_000
"""Draws in a row without a new problem, after which a split has all that there are."""


@dataclass(frozen=True)
class SyntheticOptions(SplitSizes):
    """The dials of the task.

    `routine` and `wording` shape the corpus from which a base model learns to write, so another
    share needs another base (`scgrpo build-base`); `steps` may be turned on any base, but hardly
    beyond what its corpus shows.
    """

    steps: int = 4
    """Most additions of a training problem; problems have this many or one less."""
    routine: float = 0.5
    """Share of routine tokens in a solution, 0 to 0.9."""
    wording: str = "words"
    """What they are: words that no step uses; or `digits` and `sums`, written with the symbols of
    the steps."""
    largest: int = LARGEST
    """Largest number of a problem; smaller ones make many additions easier."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(
                f"steps is {self.steps}; the synthetic task has 1 to {MOST_STEPS} additions."
            )
        require_known("wording", self.wording, list(WORDINGS))
        if not 2 <= self.largest <= LARGEST:
            raise ValueError(f"largest is {self.largest}; it lies between 2 and {LARGEST}.")
        if not 0 <= self.routine <= 0.9:
            raise ValueError(f"routine is {self.routine}; the share lies between 0 and 0.9.")
        super().__post_init__()


class SyntheticTask(EmbeddedTask):
    """Add numbers by steps, in any order; a wrong step ruins the answer."""

    name = "synthetic"
    family = "synthetic"
    guide = "synthetic"

    def __init__(self, **options: Any) -> None:
        self.options = read_options(SyntheticOptions, self.name, options)

    @property
    def trainer_defaults(self) -> dict[str, Any]:
        """SCGRPOConfig fields that suit the shipped base on two cores."""
        longest = self.options.steps + 1
        # Many additions have larger sums, of more digits.
        step = STEP_TOKENS + (2 if self.options.steps > FEW_STEPS else 0)
        length = longest * (step + self._words) + 8
        return {**TINY_TRAINING, "max_completion_length": length}

    def rows(self, split: str) -> Dataset:
        """Problems of a split, the same for the same options.

        Raises:
            ValueError: for an unknown split.
        """
        check_split(self, split)
        rng = random.Random(f"{self.options.seed}/{split}")
        taken = set(self.rows("heldout")["problem_id"]) if split == "validation" else set()
        problems: dict[str, list[int]] = {}
        in_vain = 0
        while len(problems) < self.options.size(split) and in_vain < PATIENCE:
            numbers = draw_problem(rng, self._additions(split, rng), self.options.largest)
            text = "+".join(map(str, numbers))
            known = text in problems or text in taken
            if known or is_held_out(numbers) != (split != "train"):
                in_vain += 1
            else:
                problems[text], in_vain = numbers, 0
        return Dataset.from_list([self._row(text, numbers) for text, numbers in problems.items()])

    def verify(self, completions: list[Any], **columns: Any) -> list[float]:
        """1.0 for a solution without a wrong step, else 0.0."""
        problems = columns["numbers"]
        return [
            float(is_correct(completion_text(completion), numbers, self.options.wording))
            for completion, numbers in zip(completions, problems, strict=True)
        ]

    def validate(self, split: str | None = None, limit: int | None = None) -> Validation:
        """Verify gold solutions and damaged ones of the first 64 held-out problems."""
        rng = random.Random(0)
        rows = self.rows(split or "heldout")
        checked: list[tuple[str, list[int], str, bool]] = []
        for row in rows.select(range(min(limit or 64, len(rows)))):
            gold = self._write(row["numbers"], rng)
            wrong = damage(gold, row["numbers"], rng)
            checked.append((row["problem_id"], row["numbers"], gold, True))
            checked.append((row["problem_id"], row["numbers"], row["demonstration"], True))
            checked.extend((row["problem_id"], row["numbers"], text, False) for text in wrong)
        disagreements = tuple(
            Disagreement(problem, text, float(right), float(not right))
            for problem, numbers, text, right in checked
            if is_correct(text, numbers, self.options.wording) != right
        )
        gold_count = sum(right for *_, right in checked)
        return Validation(gold_count // 2, gold_count, len(checked) - gold_count, disagreements)

    def _row(self, text: str, numbers: list[int]) -> dict[str, Any]:
        rng = random.Random(f"{self.options.seed}/demonstration/{text}")
        return {
            "prompt": [{"role": "user", "content": text}],
            "answer": str(sum(numbers)),
            "problem_id": text,
            "numbers": numbers,
            "level": len(numbers) - 1,
            "demonstration": self._write(numbers, rng),
        }

    def _write(self, numbers: Sequence[int], rng: random.Random) -> str:
        return write_solution(numbers, rng, words=self._words, wording=self.options.wording)

    @property
    def _words(self) -> int:
        return routine_words(self.options.routine)

    def _additions(self, split: str, rng: random.Random) -> int:
        most = self.options.steps
        return most + 1 if split == "ood" else rng.randint(max(1, most - 1), most)


def draw_problem(rng: random.Random, additions: int, largest: int = LARGEST) -> list[int]:
    """Numbers up to the largest for this many additions."""
    return [rng.randint(1, largest) for _ in range(additions + 1)]


def is_held_out(numbers: Sequence[int]) -> bool:
    """Whether a problem, in whatever order its numbers stand, belongs to the held-out split."""
    digest = hashlib.sha256(",".join(map(str, sorted(numbers))).encode()).digest()
    return digest[0] < 256 * HELD_OUT_SHARE


def damage(gold: str, numbers: Sequence[int], rng: random.Random) -> list[str]:
    """Solutions that look right and are not: one thing wrong in each, or every step."""
    spans = spans_of(gold)
    # Each step with the wording before it.
    ends = [0, *(end for _, end in spans)]
    steps = [gold[start:end] for start, end in pairwise(ends)]
    digits = [place for start, end in spans for place in range(start, end) if gold[place].isdigit()]
    place = rng.choice(digits)
    changed = str((int(gold[place]) + rng.randint(1, 9)) % 10)
    return [
        write_solution(numbers, rng, error_rate=1.0),
        gold[:place] + changed + gold[place + 1 :],
        "".join(steps[:-1]),
        "".join([*steps[:-1], steps[0], steps[-1]]),
        write_solution([number + 1 for number in numbers], rng),
        gold + "so",
        gold + next(iter(steps_of(gold))) + "; ",
    ]
