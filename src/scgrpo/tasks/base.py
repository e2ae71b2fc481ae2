"""What a task is: rows, a verifier, and a proof that the verifier can be trusted."""

from typing import Any, Protocol, runtime_checkable

from datasets import Dataset


@runtime_checkable
class Task(Protocol):
    """A family of problems with a verifier.

    A package adds a task by an entry point of the group `scgrpo.tasks` that names its class.
    """

    name: str
    guide: str
    """Guide of the teacher: a name of `scgrpo.teachers.guides.GUIDES`, or a text."""

    def rows(self, split: str) -> Dataset:
        """Problems of a split (`train`, `heldout`, `ood`).

        Returns:
            Columns `prompt` (chat messages), `answer`, `problem_id`, and what the verifier needs.

        Raises:
            ValueError: for an unknown split.
        """
        ...

    def verify(self, completions: list[Any], **columns: Any) -> list[float]:
        """Rewards in [0, 1], called as TRL calls a reward function.

        Args:
            completions: message lists or texts.
            **columns: the rows' columns, as lists, and whatever else TRL passes.
        """
        ...

    def validate(self) -> None:
        """Prove that gold answers are accepted and damaged ones rejected.

        Raises:
            AssertionError: if the verifier errs.
        """
        ...


def completion_text(completion: Any) -> str:
    """Text of a completion: of the last message of a conversation, or the text itself."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"])
