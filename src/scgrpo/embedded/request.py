"""What a tiny base is asked to be: its options, their defaults, and what cannot be."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scgrpo.mistakes import ConfigError, require_ranges
from scgrpo.tasks import DEFAULT_TASK

HEADS = 4


def _told(words: str, **more: Any) -> dict[str, Any]:
    return {"help": words, **more}


@dataclass(frozen=True)
class BaseRequest:
    """A base model of an embedded task, trained from scratch."""

    output: Path = field(metadata=_told("Folder for the model and its tokenizer."))
    task: str = field(default=DEFAULT_TASK, metadata=_told("synthetic, or lookup for the agent."))
    steps: int | None = field(
        default=None, metadata=_told("Optimizer steps; those of the shipped base.", least=1)
    )
    seed: int = field(default=0, metadata=_told("Seed of everything that is drawn."))
    width: int = field(default=96, metadata=_told("Hidden size, a multiple of 8.", least=8))
    layers: int = field(default=3, metadata=_told("Number of layers.", least=1))
    task_options: dict[str, Any] = field(
        default_factory=dict, metadata=_told("Dials of the task, as YAML: '{routine: 0.7}'.")
    )
    corpus_options: dict[str, Any] = field(
        default_factory=dict, metadata=_told("How the corpus is written, as YAML.")
    )

    def check(self) -> None:
        """Refuse what cannot be built.

        Raises:
            ConfigError: for a number out of its range, and as `dials` does.
        """
        require_ranges(self)
        self.dials()

    def dials(self) -> tuple[Any, Any]:
        """Options of the task and of its corpus.

        Raises:
            ConfigError: for a task without a corpus, an option that it does not have, or a width
                that cannot be.
        """
        from scgrpo.embedded.base_model import SUBJECTS

        if self.task not in SUBJECTS:
            raise ConfigError(
                f"--task is {self.task!r}; a base can be built for {' or '.join(SUBJECTS)}."
            )
        if self.width % (2 * HEADS):
            raise ConfigError(
                f"--width is {self.width}; it must be a multiple of {2 * HEADS} ({HEADS} heads of "
                "even size)."
            )
        subject = SUBJECTS[self.task]
        return (
            _options(subject.options, "task-options", self.task_options),
            _options(subject.corpus, "corpus-options", self.corpus_options),
        )


def _options(kind: type[Any], option: str, values: dict[str, Any]) -> Any:
    try:
        return kind(**values)
    except TypeError:
        known = ", ".join(spec.name for spec in fields(kind))
        raise ConfigError(f"--{option} is {values}; it may set {known}.") from None
