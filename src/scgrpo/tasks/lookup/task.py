"""The lookup task: rows, splits, environments and the proof of its verifier."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scgrpo.tasks.base import Disagreement, Validation, check_split, read_options
from scgrpo.tasks.embedded import TINY_TRAINING, EmbeddedTask, SplitSizes
from scgrpo.tasks.episodes import EpisodeTask, TextEnvironment
from scgrpo.tasks.lookup.environments import LookupText, LookupTools, replay
from scgrpo.tasks.lookup.problems import Problem, draw_problem, draw_unlike
from scgrpo.tasks.lookup.writer import Episode, Writer

if TYPE_CHECKING:
    from datasets import Dataset

OBSERVATION_TOKENS = 13
"""Tokens of an answer such as `kiwi=9; plum=12; ` and of what the chat template puts around it."""
STEP_TOKENS, TURN_TOKENS = 9, 4
"""Tokens of a step such as `57+20=77; `, and of the end of a turn: `look plum` or `answer 77`."""


@dataclass(frozen=True)
class LookupOptions(SplitSizes):
    """The dials of the task.

    `words` shapes the corpus from which a base model learns to write, so another number needs
    another base (`scgrpo build-base --task lookup`); `names` may be turned on any base.
    """

    names: int = 4
    """Most names of a training problem; problems have this many or one less."""
    words: int = 2
    """Routine words before each call, step and answer."""

    def __post_init__(self) -> None:
        if not 2 <= self.names <= 6:
            raise ValueError(f"names is {self.names}; the lookup task has 2 to 6 of them.")
        if not 0 <= self.words <= 8:
            raise ValueError(f"words is {self.words}; the lookup task has 0 to 8 at a place.")
        super().__post_init__()


class LookupTask(EmbeddedTask, EpisodeTask):
    """Add numbers that have to be looked up one by one; a wrong look ruins the answer."""

    name = "lookup"
    family = "agent"
    guide = "{reference}"
    environment_scores = False

    def __init__(self, **options: Any) -> None:
        self.options = read_options(LookupOptions, self.name, options)
        self.max_turns = self.options.names + 3

    @property
    def trainer_defaults(self) -> dict[str, Any]:
        """SCGRPOConfig fields that suit the shipped base on two cores."""
        names, words = self.options.names, self.options.words
        turn, step = words + TURN_TOKENS, words + STEP_TOKENS
        episode = (names + 1) * turn + (names - 1) * step + names * OBSERVATION_TOKENS
        return {
            **TINY_TRAINING,
            "max_completion_length": episode + turn + OBSERVATION_TOKENS,
            "max_tool_calling_iterations": self.max_turns - 1,
        }

    @property
    def environment(self) -> Callable[[], LookupTools]:
        """Makes an environment with the tool `look`."""
        return LookupTools

    @property
    def text_environment(self) -> Callable[[], TextEnvironment]:
        """Makes an environment in which the model writes `look NAME` and `answer NUMBER`."""
        return LookupText

    def rows(self, split: str) -> "Dataset":
        """Problems of a split, the same for the same options.

        Returns:
            Columns `prompt`, `problem_id`, `asked` (names), `numbers` (the table), `answer` and
            `level` (how many names).

        Raises:
            ValueError: for an unknown split.
        """
        from datasets import Dataset

        check_split(self, split)
        rng = random.Random(f"{self.options.seed}/{split}")
        size = self.options.size(split)
        rows: list[dict[str, Any]] = []
        while len(rows) < size:
            problem = draw_problem(rng, self._names(split, rng))
            if problem.is_held_out == (split != "train"):
                rows.append(_row(problem, f"{split}-{len(rows)}"))
        return Dataset.from_list(rows)

    def verify(self, completions: list[Any], **columns: Any) -> list[float]:
        """1.0 for an episode that looks up what was asked for, and nothing else, and adds it up.

        Args:
            completions: conversations with calls as text or as tool calls, or texts.
            **columns: with `asked` and `numbers`, as lists.
        """
        problems = zip(columns["asked"], columns["numbers"], strict=True)
        return [
            replay(Problem(tuple(asked), tuple(numbers)), completion)
            for completion, (asked, numbers) in zip(completions, problems, strict=True)
        ]

    def validate(self, split: str | None = None, limit: int | None = None) -> Validation:
        """Verify right episodes and damaged ones of the first 64 held-out problems."""
        rng = random.Random(0)
        rows = self.rows(split or "heldout")
        rows = rows.select(range(min(limit or 64, len(rows))))
        gold = damaged = 0
        disagreements = []
        for row in rows:
            problem = Problem.of_row(row)
            right = Writer(rng, self.options.words).write(problem)
            wrong = damage(right, problem, rng)
            for episode, expected in [(right, 1.0), *((e, 0.0) for e in wrong)]:
                for conversation in (as_text(episode), as_calls(episode)):
                    reward = replay(problem, conversation)
                    if reward != expected:
                        shown = " | ".join(episode.turns)
                        disagreements.append(
                            Disagreement(row["problem_id"], shown, expected, reward)
                        )
            gold, damaged = gold + 2, damaged + 2 * len(wrong)
        return Validation(len(rows), gold, damaged, tuple(disagreements))

    def _names(self, split: str, rng: random.Random) -> int:
        most = self.options.names
        return most + 1 if split == "ood" else rng.randint(max(2, most - 1), most)


def _row(problem: Problem, problem_id: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": "+".join(problem.asked)}],
        "problem_id": problem_id,
        "asked": list(problem.asked),
        "numbers": list(problem.numbers),
        "answer": str(problem.answer),
        "level": len(problem.asked),
    }


def as_text(episode: Episode) -> list[dict[str, Any]]:
    """The conversation of an episode in plain text."""
    messages: list[dict[str, Any]] = [{"role": "assistant", "content": episode.turns[0]}]
    for observation, turn in zip(episode.observations, episode.turns[1:], strict=True):
        messages.append({"role": "user", "content": observation})
        messages.append({"role": "assistant", "content": turn})
    return messages


def as_calls(episode: Episode) -> list[dict[str, Any]]:
    """The same with tool calls, as TRL keeps it."""
    messages = as_text(episode)
    for message in messages:
        text, call, name = message["content"].partition("look ")
        if message["role"] == "user":
            message |= {"role": "tool", "name": "look"}
        elif call:
            function = {"name": "look", "arguments": {"name": name}}
            message |= {"content": text, "tool_calls": [{"type": "function", "function": function}]}
    return messages


def damage(right: Episode, problem: Problem, rng: random.Random) -> list[Episode]:
    """Episodes that look right and are not: one thing wrong in each."""
    turns, seen = right.turns, right.observations
    wrong = draw_unlike(rng, problem.asked)
    place = rng.randrange(len(seen))
    other = f"look {wrong}"
    text, _, name = turns[place].partition("look ")
    swapped = [*turns[:place], f"{text}{other}", *turns[place + 1 :]]
    lower = problem.answer - 1
    return [
        Episode(swapped, seen),
        Episode([*turns[:-1], other, turns[-1]], [*seen, problem.look(wrong)]),
        Episode([*turns[:-1], f"look {name}", turns[-1]], [*seen, problem.look(name)]),
        Episode([*turns[:-2], turns[-1]], seen[:-1]),
        Episode([*turns[:-1], turns[-1].replace(str(problem.answer), str(lower))], seen),
        Episode([*turns[:-1], f"{turns[-1]}0"], seen),
        Episode([*turns[:-1], f"{turns[-1]} so"], seen),
        Episode(turns[:-1], seen[:-1]),
        Episode([turns[-1], *turns], [*seen, ""]),
    ]
