"""Episodes: tasks of several turns, in which the model acts by writing text.

An environment holds one episode at a time. Its observations become user messages, what the model
writes becomes assistant messages, and the reward of the last step is that of the episode.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

Message = dict[str, str]
Conversation = list[Message]


class Step(NamedTuple):
    """What one action led to."""

    observation: str
    reward: float
    """Reward of the episode so far, in [0, 1]; what counts is that of the last step."""
    done: bool


@runtime_checkable
class TextEnvironment(Protocol):
    """One episode at a time, played by writing text.

    Nothing that a model writes makes `step` raise: an action that means nothing leaves the world as
    it is, and a world that breaks ends the episode with reward 0.
    """

    def reset(self, row: Mapping[str, Any]) -> str:
        """Begin the episode of a row of the task.

        Returns:
            The first observation, which is appended to the last user message of the row's prompt.

        Raises:
            ValueError: for a row that is not one of the task.
        """
        ...

    def step(self, action: str) -> Step:
        """Act.

        Args:
            action: the whole text of the model's turn; the environment finds the action in it.
        """
        ...

    def close(self) -> None:
        """Give back what the episode holds; `reset` may be called again afterwards."""
        ...


@runtime_checkable
class EpisodeTask(Protocol):
    """What a task of episodes has beside `scgrpo.tasks.base.Task`, whose environment has tools."""

    max_turns: int
    """Turns of the model after which an episode ends."""

    @property
    def text_environment(self) -> Callable[[], TextEnvironment]:
        """Makes a new environment; any number of them may be in use at once."""
        ...


@dataclass
class Episode:
    """An episode as it went."""

    messages: Conversation
    """Prompt, observations and what the model wrote."""
    reward: float = 0.0
    done: bool = False
    """Whether the environment ended it, and not the limit of turns."""
    turns: int = 0
    environment: TextEnvironment | None = field(default=None, repr=False)
    """What it is played in, until it ends."""


Respond = Callable[[list[Conversation]], list[str | None]]
"""Writes the next turn of each conversation; None ends an episode, as when there is no room."""


def play(
    make_environment: Callable[[], TextEnvironment],
    rows: Sequence[Mapping[str, Any]],
    respond: Respond,
    *,
    max_turns: int,
) -> list[Episode]:
    """Play one episode for each row, all side by side.

    Args:
        make_environment: makes a new environment.
        rows: rows of the task, with a conversation as `prompt`.
        respond: called once a turn with the conversations that still go on.
        max_turns: turns of the model after which an episode ends.

    Returns:
        The finished episodes, in the order of the rows.
    """
    episodes: list[Episode] = []
    try:
        for row in rows:
            environment = make_environment()
            first = Episode(messages=[], environment=environment)
            episodes.append(first)
            first.messages = opening(row["prompt"], environment.reset(row))
        going = list(episodes)
        while going:
            written = respond([episode.messages for episode in going])
            for episode, text in zip(going, written, strict=True):
                _take_turn(episode, text, max_turns)
            going = [episode for episode in going if episode.environment is not None]
    finally:
        for episode in episodes:
            _end(episode)
    return episodes


def opening(prompt: Sequence[Mapping[str, str]], observation: str) -> Conversation:
    """A row's prompt with the first observation at the end of its last user message."""
    messages = [dict(message) for message in prompt]
    if not messages or messages[-1]["role"] != "user":
        return [*messages, {"role": "user", "content": observation}]
    messages[-1]["content"] += observation
    return messages


def _take_turn(episode: Episode, text: str | None, max_turns: int) -> None:
    assert episode.environment is not None
    if text is None:
        _end(episode)
        return
    step = episode.environment.step(text)
    episode.turns += 1
    episode.reward, episode.done = step.reward, step.done
    episode.messages.append({"role": "assistant", "content": text})
    if step.done or episode.turns >= max_turns:
        _end(episode)
    else:
        episode.messages.append({"role": "user", "content": step.observation})


def _end(episode: Episode) -> None:
    if episode.environment is not None:
        episode.environment.close()
        episode.environment = None
