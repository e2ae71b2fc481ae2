"""What the agent's base learns from: episodes with errors, half of them behind another one."""

import random
from dataclasses import dataclass

from scgrpo.tasks.lookup.problems import Problem, draw_problem
from scgrpo.tasks.lookup.task import LookupOptions
from scgrpo.tasks.lookup.writer import Episode, ErrorRates, Writer
from scgrpo.tasks.transcript import Span, transcript

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class CorpusOptions:
    """How often the writer of the corpus errs, and what the references look like."""

    look_error: float = 0.06
    """Chance of looking up a name that was not asked for, each time."""
    read_error: float = 0.06
    """Chance of taking the number of the entry beside it, each time."""
    add_error: float = 0.15
    """Chance of a wrong sum, each time."""
    informed: float = 0.5
    """What these are multiplied by behind a reference, for what the reference does not show."""
    known: float = 0.12
    """The same for what it shows."""
    reference_share: float = 0.5
    """Share of the episodes that are written behind a reference."""
    correct_references: float = 0.8
    """Share of the references without an error."""

    @property
    def errors(self) -> ErrorRates:
        return ErrorRates(self.look_error, self.read_error, self.add_error)

    @classmethod
    def without_errors(cls) -> "CorpusOptions":
        """A writer who never errs."""
        return cls(look_error=0.0, read_error=0.0, add_error=0.0)


def draw_conversation(
    rng: random.Random, task: LookupOptions, corpus: CorpusOptions
) -> tuple[Messages, list[str]]:
    """Prompt and episode of one conversation.

    Problems of the held-out split never occur. Order, wording and errors of an episode are drawn
    independently of its reference, which stands in the system message as the trainer shows it.

    Returns:
        Messages, and turns and observations one after the other.
    """
    problem = _draw_training_problem(rng, task)
    prompt = [{"role": "user", "content": "+".join(problem.asked)}]
    if rng.random() >= corpus.reference_share:
        return prompt, interleave(Writer(rng, task.words, corpus.errors).write(problem))
    is_right = rng.random() < corpus.correct_references
    errors = ErrorRates() if is_right else corpus.errors
    reference = Writer(rng, task.words, errors).write(problem)
    informed, known = corpus.errors.times(corpus.informed), corpus.errors.times(corpus.known)
    episode = Writer(rng, task.words, informed, known).write(problem, reference.known)
    shown = {"role": "system", "content": reference_text(reference)}
    return [shown, *prompt], interleave(episode)


def interleave(episode: Episode) -> list[str]:
    """Turns and observations of an episode, one after the other."""
    later = zip(episode.observations, episode.turns[1:], strict=True)
    return [episode.turns[0], *(text for pair in later for text in pair)]


def reference_text(episode: Episode) -> str:
    """An episode as the trainer shows it to the teacher."""
    return transcript(
        Span(text, is_written=place % 2 == 0) for place, text in enumerate(interleave(episode))
    )


def _draw_training_problem(rng: random.Random, task: LookupOptions) -> Problem:
    most = task.names
    # Mostly what training asks for; one name more is rare, so that it stays harder.
    names = [max(2, most - 2), max(2, most - 1), most, most + 1]
    while True:
        problem = draw_problem(rng, rng.choices(names, weights=(2, 4, 4, 1))[0])
        if not problem.is_held_out:
            return problem
