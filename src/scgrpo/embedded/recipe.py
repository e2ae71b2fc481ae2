"""How a base model is made: the options of `scgrpo build-base`, and the file that keeps them."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scgrpo.embedded.base_model import SUBJECTS, Subject
from scgrpo.mistakes import ConfigError


@dataclass(frozen=True)
class Recipe:
    """What a base model is made from.

    Raises:
        ConfigError: for a task without a corpus, a width that the heads do not divide, or an option
            of task or corpus that is unknown.
    """

    task: str = "synthetic"
    steps: int | None = None
    """Optimizer steps; those of the shipped base by default."""
    seed: int = 0
    width: int = 96
    """Hidden size, a multiple of 8."""
    layers: int = 3
    task_options: dict[str, Any] = field(default_factory=dict)
    """Dials of the task."""
    corpus_options: dict[str, Any] = field(default_factory=dict)
    """How the corpus is written."""

    def __post_init__(self) -> None:
        if self.task not in SUBJECTS:
            raise ConfigError(
                f"task is {self.task!r}; a base can be built for {' or '.join(SUBJECTS)}."
            )
        if self.width < 8 or self.width % 8:
            raise ConfigError(
                f"width is {self.width}; it must be a multiple of 8 (4 heads of even size)."
            )
        for name, value in {"steps": self.steps, "layers": self.layers}.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1.")
        for name in ("task_options", "corpus_options"):
            self._dials(name)

    @property
    def subject(self) -> Subject:
        return SUBJECTS[self.task]

    @property
    def dials(self) -> Any:
        """Options of the task."""
        return self._dials("task_options")

    @property
    def corpus(self) -> Any:
        """Options of the corpus."""
        return self._dials("corpus_options")

    @property
    def total_steps(self) -> int:
        return self.steps or self.subject.steps

    def refuse_other(self, folder: Path) -> None:
        """Refuse a base that was built by another recipe.

        Raises:
            ConfigError: naming the first option that differs, both values and the cure.
        """
        kept = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        built = {"task": kept.get("name", "synthetic"), **kept["training"]}
        asked = {"task": self.task, "steps": self.total_steps}
        asked |= {name: getattr(self, name) for name in ("seed", "width", "layers")}
        for part, dials in (("task", self.dials), ("corpus", self.corpus)):
            built |= {f"{part}_options.{name}": value for name, value in kept[part].items()}
            values = json.loads(json.dumps(asdict(dials)))
            asked |= {f"{part}_options.{name}": value for name, value in values.items()}
        for name, value in asked.items():
            if built.get(name, value) != value:
                raise ConfigError(
                    f"{folder} was built with {name} {built[name]!r}, not {value!r}; choose "
                    "another output, or delete it."
                )

    def _dials(self, name: str) -> Any:
        kind = self.subject.options if name == "task_options" else self.subject.corpus
        given, known = getattr(self, name), [spec.name for spec in fields(kind)]
        if set(given) - set(known):
            raise ConfigError(f"{name} is {given!r}; it may set {', '.join(known)}.")
        return kind(**given)
