"""What the base model learns from: solutions with errors, half of them behind a reference."""

import random
from dataclasses import dataclass
from functools import partial

from scgrpo.tasks.synthetic.solutions import routine_words, steps_of, write_solution
from scgrpo.tasks.synthetic.task import SyntheticOptions, draw_problem, is_held_out

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class CorpusOptions:
    """How often the writer of the corpus errs, and what the references look like."""

    error_rate: float = 0.25
    """Chance of a wrong step without a reference; sets what the base solves."""
    informed_error_rate: float = 0.12
    """The same behind a reference, for steps that the reference does not show."""
    known_error_rate: float = 0.03
    """The same for steps that it shows, rightly."""
    reference_share: float = 0.5
    """Share of the conversations that show a reference."""
    correct_references: float = 0.8
    """Share of the references without an error."""

    @classmethod
    def without_errors(cls) -> "CorpusOptions":
        """A writer who never errs."""
        return cls(error_rate=0.0, informed_error_rate=0.0, known_error_rate=0.0)


def draw_conversation(
    rng: random.Random, task: SyntheticOptions, corpus: CorpusOptions
) -> tuple[Messages, list[str]]:
    """Prompt of one conversation, and its solution as the one turn that follows.

    Problems of the held-out split never occur. Order, wording and errors of a solution are drawn
    independently of its reference.
    """
    numbers = _draw_training_problem(rng, task)
    write = partial(
        write_solution, numbers, rng, words=routine_words(task.routine), wording=task.wording
    )
    prompt = [{"role": "user", "content": "+".join(map(str, numbers))}]
    if rng.random() >= corpus.reference_share:
        return prompt, [write(error_rate=corpus.error_rate)]
    is_right = rng.random() < corpus.correct_references
    reference = write(error_rate=0.0 if is_right else corpus.error_rate)
    solution = write(
        error_rate=corpus.informed_error_rate,
        known=steps_of(reference),
        known_error_rate=corpus.known_error_rate,
    )
    return [{"role": "system", "content": reference}, *prompt], [solution]


def _draw_training_problem(rng: random.Random, task: SyntheticOptions) -> list[int]:
    most = task.steps
    # Mostly what training asks for; one addition more is rare, so that it stays harder.
    additions = [max(1, most - 2), max(1, most - 1), most, most + 1]
    while True:
        count = rng.choices(additions, weights=(2, 4, 4, 1))[0]
        numbers = draw_problem(rng, count, task.largest)
        if not is_held_out(numbers):
            return numbers
