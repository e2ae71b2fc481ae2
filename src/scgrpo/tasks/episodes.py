"""Episodes: tasks of several turns, in which the model acts by writing text.

An environment holds one episode at a time. Its observations become user messages, what the model
writes becomes assistant messages, and the reward of the last step is that of the episode.
"""

from collections.abc import Callable, Mapping, Sequence
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


def opening(prompt: Sequence[Mapping[str, str]], observation: str) -> Conversation:
    """A row's prompt with the first observation at the end of its last user message."""
    messages = [dict(message) for message in prompt]
    if not messages or messages[-1]["role"] != "user":
        return [*messages, {"role": "user", "content": observation}]
    messages[-1]["content"] += observation
    return messages
