"""One sandboxed interpreter, seen from outside."""

import math
import os
import select
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from scgrpo.tasks.sandbox.backends import Backend
from scgrpo.tasks.sandbox.inside.channel import Channel, Late
from scgrpo.tasks.sandbox.limits import Limits

START_SECONDS = 60.0
GRACE_SECONDS = 2.0
"""The driver measures a test's time; if it does not answer so much later, it is ended."""
CREDENTIALS = struct.Struct("3i")
"""Process, user and group, as the kernel attaches them to a message."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
FIRST_OF_TIMES = 11
"""Of utime, stime, cutime and cstime in /proc/PID/stat, counted from the state of the process."""
PRELOADED = (
    *("array", "bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools"),
    *("heapq", "io", "itertools", "json", "math", "operator", "random", "re", "statistics"),
    *("string", "threading", "typing"),
)
"""Modules that the interpreter has loaded before the program comes."""


class SandboxError(RuntimeError):
    """A sandbox could not be started: a fault of the machine, not of the program."""


class ProgramEnded(Exception):
    """The program did not answer in time, took its interpreter down, or sent too much."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Run:
    """What one run of a program as a script did."""

    output: str
    why: str
    """Why it counts as failed, such as `time` or `error`; empty if it ended well."""
    stderr: str = ""
    seconds: float = 0.0
    """Time on the clock."""


class Sandbox:
    """A warm interpreter in a sandbox of its own, for one program and then thrown away.

    Args:
        backend: how to start it.
        limits: its caps.
        packages: installed packages that programs may import.

    Raises:
        SandboxError: if no process can be started.
    """

    def __init__(self, backend: Backend, limits: Limits, packages: tuple[str, ...]) -> None:
        self.limits = limits
        self._socket, theirs = socket.socketpair()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            self._running = backend.start(limits, packages, theirs.fileno())
        except OSError as error:
            self._socket.close()
            raise SandboxError(f"no sandbox could be started: {error}") from error
        finally:
            theirs.close()
        self._channel = Channel(self._socket.fileno())
        self._driver = 0
        self._is_closed = False
        self.is_lost = False
        self.deadline = math.inf
        """On the clock of `time.monotonic`: no message is waited for any longer."""
        # Six bytes stand for a control character in JSON.
        self._longest = 6 * (limits.output_mb << 20) + (1 << 16)
        config = self._running.config | {
            "memory_mb": limits.memory_mb,
            "output_mb": limits.output_mb,
            "preload": PRELOADED,
        }
        with suppress(EOFError):  # a sandbox that did not start says so when it is waited for
            self._channel.send(config)

    def wait_until_ready(self) -> None:
        """Wait until the interpreter is warm; to be called once.

        Raises:
            SandboxError: if it does not start, with what bubblewrap or the driver said.
        """
        deadline = time.monotonic() + START_SECONDS
        try:
            self._channel.wait(select.POLLIN, deadline)
            self._driver = _sender(self._socket)
            self._channel.receive(deadline, self._longest)
            _used_by(self._driver)
        except (EOFError, Late, ValueError) as error:
            raise SandboxError(f"the sandbox did not start: {self._complaint(error)}") from error

    def run(
        self,
        source: str,
        stdin: str = "",
        *,
        prelude: str = "",
        arguments: tuple[str, ...] = (),
        files: Mapping[str, str] | None = None,
        cpu_seconds: float | None = None,
    ) -> Run:
        """Run a program as a script, in a fresh process of the sandbox.

        Args:
            source: the program.
            stdin: its standard input.
            prelude: code that runs before it, in its namespace.
            arguments: of its command line.
            files: written into its working directory before.
            cpu_seconds: processor time, in place of the sandbox's.

        Raises:
            ProgramEnded: if the sandbox is gone.
        """
        cpu, wall = self.times(cpu_seconds)
        job = {
            "job": "run",
            "source": source,
            "prelude": prelude,
            "stdin": stdin,
            "argv": ["program.py", *arguments],
            "files": dict(files or {}),
            "cpu_seconds": cpu,
            "wall_seconds": wall,
        }
        answer = self.ask(job, wall + GRACE_SECONDS)
        try:
            self.is_lost = self.is_lost or answer["is_clear"] is not True
            return _read_run(answer, cpu)
        except (KeyError, TypeError, ValueError) as error:
            raise ProgramEnded("forged answer") from error

    def times(self, cpu_seconds: float | None = None) -> tuple[float, float]:
        """Limits of processor time and time on the clock of one test, in seconds.

        The latter is not more than what is left until `deadline`.
        """
        cpu = self.limits.cpu_seconds if cpu_seconds is None else cpu_seconds
        wall = self.limits.wall * cpu / self.limits.cpu_seconds
        return cpu, max(0.0, min(wall, self.deadline - time.monotonic()))

    def ask(self, message: Any, seconds: float) -> Any:
        """Send a message and wait for its answer.

        Raises:
            ProgramEnded: if none comes in time.
        """
        deadline = time.monotonic() + seconds
        self.send(message, deadline)
        return self.receive(deadline)

    def send(self, message: Any, deadline: float) -> None:
        """Send a message. Raises ProgramEnded if it is not taken in time."""
        with self._losing():
            self._channel.send(message, min(deadline, self.deadline))

    def receive(self, deadline: float) -> Any:
        """The next message. Raises ProgramEnded if none comes in time, or one too long."""
        with self._losing():
            return self._channel.receive(min(deadline, self.deadline), self._longest)

    def cpu_seconds(self) -> float:
        """Processor time that the interpreter, its threads and the children it collected used.

        The kernel says so, not the sandbox.

        Raises:
            ProgramEnded: if the interpreter is gone.
        """
        with self._losing():
            return _used_by(self._driver)

    def close(self) -> None:
        """End every process of the sandbox and remove every file; may be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._running.end()
        finally:
            self._socket.close()
            if self._running.process.stderr:
                self._running.process.stderr.close()

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """A sandbox that failed once is not to be trusted to answer the next question."""
        try:
            yield
        except (Late, EOFError, ValueError) as error:
            self.is_lost = True
            why = {Late: "time", EOFError: "died"}.get(type(error), "output")
            raise ProgramEnded(why) from error

    def _complaint(self, error: Exception) -> str:
        """What the process wrote before it ended; the error itself if it lives on."""
        process = self._running.process
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            return str(error)
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        text = (process.stderr.read() or b"").decode("utf-8", "replace")
        return " ".join(text.split())[-500:] or f"exit code {process.returncode}"


def _sender(link: socket.socket) -> int:
    """Process id, as this process sees it, of who sent what can be read next."""
    content, attached, _, _ = link.recvmsg(1, socket.CMSG_SPACE(CREDENTIALS.size), socket.MSG_PEEK)
    if not content:
        raise EOFError("the other side is gone")
    for level, kind, credentials in attached:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(CREDENTIALS.unpack(credentials)[0])
    raise ValueError("the kernel does not tell the driver's process id")


def _used_by(process: int) -> float:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise EOFError(f"there is no process {process} in /proc") from error
    return sum(map(int, fields[FIRST_OF_TIMES : FIRST_OF_TIMES + 4])) / TICKS_PER_SECOND


def _read_run(answer: dict[str, Any], cpu_seconds: float) -> Run:
    why = ""
    too_long = float(answer["cpu_seconds"]) > cpu_seconds or answer["code"] == -signal.SIGXCPU
    if too_long or not answer["in_time"]:
        why = "time"
    elif answer["full"]:
        why = "output"
    elif answer["code"] != 0:
        why = f"signal {-answer['code']}" if answer["code"] < 0 else "error"
    return Run(str(answer["output"]), why, str(answer["stderr"]), float(answer["seconds"]))
