"""Options that all code tasks share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scgrpo.tasks.code.verifier import SECONDS, ProgramVerifier, Reward
from scgrpo.tasks.sandbox import Limits
from scgrpo.tasks.sandbox.probe import KINDS

PACKAGES = ("numpy",)


@dataclass(frozen=True)
class CodeOptions:
    """How programs are run and rewarded, and where the rows are."""

    data: str | Mapping[str, str] | None = None
    """Local file or folder in the data set's schema, or one for each split; None for the hub."""
    revision: str | None = None
    """Commit, tag or branch of the data set on the hub; None for the newest."""
    reward: Reward = "all"
    """`all`: 1 if every test passes, else 0; `share`: the share of the tests that pass."""
    sandbox: str = "bubblewrap"
    """`bubblewrap`, or `subprocess`: no isolation, with a warning."""
    cpu_seconds: float | None = None
    """Processor time of a test; None for the problem's own limit, or 6 where it has none."""
    seconds: float = SECONDS
    """Time on the clock for all tests of a program together; tests not over by then are failed."""
    memory_mb: int = 1024
    """Memory of a program, in MiB."""
    workers: int | None = None
    """Programs judged at a time; None for this process's share of the cores."""
    packages: tuple[str, ...] = PACKAGES
    """Installed packages that programs may import, beside the standard library."""

    def __post_init__(self) -> None:
        if self.reward not in ("all", "share"):
            raise ValueError(
                f"reward is {self.reward!r}; it is all (1 if every test passes) or share."
            )
        if self.sandbox not in KINDS:
            raise ValueError(f"sandbox is {self.sandbox!r}; it is {' or '.join(KINDS)}.")
        if not self.seconds > 0:
            raise ValueError(
                f"seconds is {self.seconds}; the tests of a program need more than 0 together."
            )
        if isinstance(self.packages, str):
            raise ValueError(f"packages is {self.packages!r}; give a list: [{self.packages}].")
        object.__setattr__(self, "packages", tuple(self.packages))
        self.limits()

    def limits(self) -> Limits:
        """The caps of a program; a problem may have its own limit of time."""
        seconds: dict[str, Any] = (
            {} if self.cpu_seconds is None else {"cpu_seconds": self.cpu_seconds}
        )
        return Limits(memory_mb=self.memory_mb, **seconds)

    def verifier(self, name: str) -> ProgramVerifier:
        """The verifier of these options."""
        return ProgramVerifier(
            name, self.sandbox, self.limits(), self.packages, self.workers, self.seconds
        )
