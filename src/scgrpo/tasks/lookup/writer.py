"""Episodes as the base model sees them: look up in any order, add as you go, answer.

An episode of fig+plum+pear, whose turns end in a call or in the answer:

    well then look plum              kiwi=9; plum=12;
    so now look fig                  fig=7; lime=3;
    next okay 12+7=19; let us look pear     pear=5; guava=14;
    right see 19+5=24; just keep answer 24
"""

import random
import re
from dataclasses import dataclass, field

from scgrpo.tasks.lookup.problems import Problem, draw_unlike
from scgrpo.tasks.synthetic.solutions import WORDS as SUM_WORDS
from scgrpo.tasks.synthetic.solutions import misadd

WORDS = tuple(word for word in SUM_WORDS if word not in ("look", "add"))
"""Routine words: drawn uniformly and independently, read by no verifier."""
_STEP = re.compile(r"([0-9]+)\+([0-9]+)=([0-9]+); ")


@dataclass(frozen=True)
class Known:
    """What another episode of the same problem shows."""

    names: frozenset[str] = frozenset()
    """Names that it looked up."""
    sums: frozenset[str] = frozenset()
    """Steps such as `12+7=19`, both ways round."""


@dataclass(frozen=True)
class ErrorRates:
    """Chances of an error, for each time that it can be made."""

    look: float = 0.0
    """Of looking up a name that was not asked for, in place of one that was."""
    read: float = 0.0
    """Of taking the number of the entry beside it."""
    add: float = 0.0
    """Of a wrong sum."""

    def times(self, factor: float) -> "ErrorRates":
        return ErrorRates(self.look * factor, self.read * factor, self.add * factor)


@dataclass
class Episode:
    """What was written and what came back."""

    turns: list[str] = field(default_factory=list)
    observations: list[str] = field(default_factory=list)
    """One less than turns."""
    looked: list[str] = field(default_factory=list)

    @property
    def known(self) -> Known:
        """What it shows to who writes another one."""
        sums = {
            f"{x}+{y}={s}"
            for turn in self.turns
            for a, b, s in _STEP.findall(turn)
            for x, y in ((a, b), (b, a))
        }
        return Known(frozenset(self.looked), frozenset(sums))


@dataclass
class Writer:
    """Writes episodes of problems, with errors at the given rates."""

    rng: random.Random
    words: int = 0
    """Routine words before each call, step and answer."""
    errors: ErrorRates = ErrorRates()
    known_errors: ErrorRates = ErrorRates()
    """The same where another episode shows how it is right."""

    def write(self, problem: Problem, known: Known | None = None) -> Episode:
        """An episode in random order.

        Args:
            problem: what is to be added.
            known: what another episode shows.
        """
        known = known or Known()
        episode, total = Episode(), 0
        order = self.rng.sample(problem.asked, len(problem.asked))
        steps = ""
        for place, wanted in enumerate(order):
            rates = self.known_errors if wanted in known.names else self.errors
            name = wanted
            if self._errs(rates.look):
                name = draw_unlike(self.rng, [*problem.asked, *episode.looked])
            episode.turns.append(f"{steps}{self._wording()}look {name}")
            episode.observations.append(problem.look(name))
            episode.looked.append(name)
            entry = problem.beside(name) if self._errs(rates.read) else name
            steps, total = self._step(total, problem.number(entry), place, known)
        episode.turns.append(f"{steps}{self._wording()}answer {total}")
        return episode

    def _step(self, total: int, number: int, place: int, known: Known) -> tuple[str, int]:
        """The step that adds a number, and the new total."""
        if place == 0:
            return "", number
        right = total + number
        is_known = f"{total}+{number}={right}" in known.sums
        rates = self.known_errors if is_known else self.errors
        result = misadd(right, self.rng) if self._errs(rates.add) else right
        return f"{self._wording()}{total}+{number}={result}; ", result

    def _wording(self) -> str:
        return "".join(f"{self.rng.choice(WORDS)} " for _ in range(self.words))

    def _errs(self, rate: float) -> bool:
        return self.rng.random() < rate
