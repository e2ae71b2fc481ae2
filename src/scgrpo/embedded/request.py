"""What a tiny base is asked to be: its options and their defaults."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scgrpo.tasks import DEFAULT_TASK


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
    start: str | None = field(
        default=None,
        metadata=_told("Base to go on from, as `tiny`, at half the rate."),
    )
    task_options: dict[str, Any] = field(
        default_factory=dict, metadata=_told("Dials of the task, as YAML: '{routine: 0.7}'.")
    )
    corpus_options: dict[str, Any] = field(
        default_factory=dict, metadata=_told("How the corpus is written, as YAML.")
    )
