"""What a probe is asked for."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scgrpo.mistakes import ConfigError, require_ranges

LEAST_BATCHES = 3
"""Two make one product; an interval needs another."""


def _told(words: str, *flags: str, **more: Any) -> dict[str, Any]:
    return {"help": words, **({"flags": flags} if flags else {}), **more}


@dataclass(frozen=True)
class ProbeRequest:
    """A model on a task, or the checkpoints of a run, and how closely to look."""

    run: Path | None = field(
        default=None,
        metadata=_told("Folder of a run, to probe its checkpoints.", is_argument=True),
    )
    model: str | None = field(
        default=None,
        metadata=_told("Hub id, local folder, run folder, or a shipped model; `tiny` by default."),
    )
    task: str | None = field(
        default=None, metadata=_told("Name of a task; `synthetic` by default.")
    )
    task_options: dict[str, Any] = field(
        default_factory=dict, metadata=_told("Options of the task, as YAML: '{steps: 6}'.")
    )
    config: Path | None = field(
        default=None,
        metadata=_told(
            "YAML of a run, for any other key: dataset and reward, lora, temperature, guide ...",
            "--config",
            "-c",
        ),
    )
    steps: str | None = field(
        default=None,
        metadata=_told("Checkpoints of the run, as in 0,50,100 (0: its start); all by default."),
    )
    signals: str = field(
        default="all",
        metadata=_told(
            "Weightings, separated by commas; also path.py:function or package.module:function."
        ),
    )
    batches: int = field(
        default=48, metadata=_told("Batches of rollouts that are drawn.", least=LEAST_BATCHES)
    )
    groups: int = field(default=2, metadata=_told("Groups of a batch.", least=1))
    layers: str = field(
        default="last:8",
        metadata=_told(
            "Whose gradient is looked at: last:N layers with the norm behind them, or all."
        ),
    )
    coordinates: int = field(
        default=2_500_000,
        metadata=_told("So many entries of that gradient are kept, drawn once.", least=1),
    )
    max_tokens: int = field(
        default=4096,
        metadata=_told(
            "Padded tokens of a forward with gradient; fewer need less memory.", least=1
        ),
    )
    seed: int = field(
        default=0, metadata=_told("Seed of data order, sampling, references and intervals.")
    )
    output: Path | None = field(
        default=None,
        metadata=_told(
            "Folder of the results; RUN/probe, or runs/probe-MODEL-TASK, by default.",
            "--output",
            "-o",
        ),
    )

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: naming the value and the cure.
        """
        require_ranges(self)
        last_layers(self.layers)
        if self.output is not None and self.output.exists() and not self.output.is_dir():
            raise ConfigError(f"output is {self.output}, which is a file; name a folder.")
        if self.run is not None and (self.model or self.task or self.config or self.task_options):
            raise ConfigError(
                f"{self.run} is a run, which has its own model, task and config; leave out "
                "--model, --task, --task-options and --config, or the run."
            )
        if self.run is None and self.steps is not None:
            raise ConfigError(
                f"steps is {self.steps!r}, but no run is given; give the run's folder as well, or "
                "leave steps out."
            )
        self.wanted_steps()

    def wanted_steps(self) -> list[int] | None:
        """The steps that are asked for, None for all that there are."""
        if self.steps is None:
            return None
        try:
            steps = sorted({int(step) for step in self.steps.split(",")})
        except ValueError:
            steps = [-1]
        if steps[0] < 0:
            raise ConfigError(
                f"steps is {self.steps!r}; give steps of checkpoints separated by commas, as in "
                "0,50,100."
            )
        return steps

    def settings(self) -> dict[str, Any]:
        """What the stored batches depend on here; more batches may be added to them."""
        return {
            key: getattr(self, key)
            for key in ("signals", "groups", "layers", "coordinates", "seed")
        }


def last_layers(layers: str) -> int | None:
    """N of `last:N`, None for `all`.

    Raises:
        ConfigError: for anything else.
    """
    found = re.fullmatch(r"last:([1-9]\d*)", layers)
    if layers != "all" and found is None:
        raise ConfigError(f"layers is {layers!r}; it must be last:N with N of 1 or more, or all.")
    return None if found is None else int(found[1])
