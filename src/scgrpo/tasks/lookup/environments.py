"""The table as an environment: with the tool `look`, and in plain text."""

import re
from collections.abc import Mapping
from typing import Any

from scgrpo.tasks.episodes import Step
from scgrpo.tasks.lookup.problems import Problem

CALL = "look "
_ANSWER = re.compile(r"\banswer ([1-9][0-9]{0,5})\Z")


def find_call(text: str) -> str | None:
    """The name that a turn looks up: all behind the first `look `."""
    _, call, name = text.partition(CALL)
    return name.strip() if call else None


def find_answer(text: str) -> int | None:
    """The answer in which a turn ends."""
    found = _ANSWER.search(text.strip())
    return int(found[1]) if found else None


class Session:
    """What was looked up and answered in one episode."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.looked: list[str] = []
        self.reward = 0.0

    def look(self, name: str) -> str:
        self.looked.append(name)
        return self.problem.look(name)

    def end(self, answer: int | None) -> None:
        """1 for the right answer after each name that was asked for was looked up, and no other."""
        right = answer == self.problem.answer and sorted(self.looked) == sorted(self.problem.asked)
        self.reward = float(right)


class LookupTools:
    """A table with the tool `look`, as TRL's `environment_factory` makes it.

    A turn without a call ends the episode, so the answer is text, which the task's `verify` reads.
    """

    def __init__(self) -> None:
        self._session: Session | None = None

    def reset(self, **row: Any) -> None:
        """Begin the problem of a row.

        Raises:
            ValueError: for a row that is none of the task.
        """
        self._session = Session(Problem.of_row(row))

    def look(self, name: str) -> str:
        """
        Look up the number of a name.

        Args:
            name: One of the names that the user adds.

        Returns:
            Its entry, and another one that stands beside it.
        """
        assert self._session is not None, "reset comes first"
        return self._session.look(name)


class LookupText:
    """The same in plain text: a turn ends in `look NAME` or in `answer NUMBER`."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def reset(self, row: Mapping[str, Any]) -> str:
        """Begin the problem of a row; the user's message says it all.

        Raises:
            ValueError: for a row that is none of the task.
        """
        self._session = Session(Problem.of_row(row))
        return ""

    def step(self, action: str) -> Step:
        """Look up, or end the episode with whatever else was written."""
        assert self._session is not None, "reset comes first"
        name = find_call(action)
        if name is not None:
            return Step(self._session.look(name), 0.0, False)
        self._session.end(find_answer(action))
        return Step("", self._session.reward, True)

    def close(self) -> None:
        """Forget the episode."""
        self._session = None


def replay(problem: Problem, conversation: Any) -> float:
    """Reward of a whole episode.

    Args:
        problem: what was to be done.
        conversation: messages, whose assistant's ones hold calls as text or as tool calls; a text
            is an episode of one turn.
    """
    session = Session(problem)
    for text, names in _turns(conversation):
        for name in names:
            session.look(name)
        if not names:
            session.end(find_answer(text))
            break
    return session.reward


def _turns(conversation: Any) -> list[tuple[str, list[str]]]:
    """Text of each of the model's turns, and the names that it looked up."""
    if isinstance(conversation, str):
        conversation = [{"role": "assistant", "content": conversation}]
    turns = []
    for message in conversation:
        if message["role"] != "assistant":
            continue
        text = message.get("content") or ""
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        names = [_looked_up(call) for call in calls]
        written = find_call(text)
        turns.append((text, names if written is None else [*names, written]))
    return turns


def _looked_up(call: Mapping[str, Any]) -> str:
    """The name in a call, none where a model calls something else or writes it in another shape."""
    arguments = call.get("arguments")
    is_look = call.get("name") == CALL.strip() and isinstance(arguments, Mapping)
    return str(arguments.get("name", "")) if is_look else ""
