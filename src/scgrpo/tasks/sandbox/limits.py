"""The caps of a sandbox."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """What one program may use. All are hard caps except the two of time, which are per test."""

    memory_mb: int = 1024
    """Address space of the program's process, in MiB."""
    cpu_seconds: float = 6.0
    """Processor time of a test; LiveCodeBench's limit."""
    wall_seconds: float | None = None
    """Time on the clock of a test; None is four times the processor time and one second more, since
    a busy machine must not fail a right program."""
    processes: int = 16
    """Threads of the program (and processes, where there is no seccomp to forbid them)."""
    output_mb: int = 16
    """Standard output of a test, and any file that the program writes, in MiB."""
    scratch_mb: int = 64
    """Files in /tmp together, in MiB; inputs and outputs of the tests lie elsewhere."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None and value <= 0:
                raise ValueError(f"{spec.name} is {value}; a cap of the sandbox is above 0.")
        if self.memory_mb < 64:
            raise ValueError(
                f"memory_mb is {self.memory_mb}; an interpreter alone takes about 40, so give a "
                "program at least 64."
            )

    @property
    def wall(self) -> float:
        """Time on the clock of a test, in seconds."""
        return self.wall_seconds or 4 * self.cpu_seconds + 1
