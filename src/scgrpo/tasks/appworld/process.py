"""Processes that run AppWorld: started, asked with a time limit, and ended for certain."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
LONGEST_ANSWER = 64 * 2**20
"""Bytes."""
LOG_TAIL = 2000
"""Bytes of a dead process's last words that are told."""


class WorkerError(RuntimeError):
    """A process that runs AppWorld died, hung or failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        """`died`, `hung` or `failed`."""


class Worker:
    """One process, which answers one request at a time.

    Args:
        command: what runs `worker.py`.
        log: file for what it prints.
        environment: its environment variables.
        folder: its working directory.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
    ) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def ask(self, do: str, seconds: float, **arguments: Any) -> dict[str, Any]:
        """Its answer to a request; a process that gave none in time is ended.

        Raises:
            WorkerError: if it died, took too long, or answered with an error.
        """
        line = json.dumps({"do": do, **arguments}) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            answer = json.loads(self._read_line(time.monotonic() + seconds))
        except TimeoutError as error:
            self.end()
            raise WorkerError("hung", f"{do} took more than {seconds:g} s") from error
        except (OSError, EOFError, ValueError) as error:
            self.end()
            raise WorkerError("died", f"the process ended during {do}: {self._words()}") from error
        if "error" in answer:
            raise WorkerError("failed", str(answer["error"]))
        result: dict[str, Any] = answer["ok"]
        return result

    def end(self) -> None:
        """End it and everything that it started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        channel = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(channel, select.POLLIN | select.POLLHUP)
        read = bytearray()
        while not read.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            part = os.read(channel, 2**16)
            if not part:
                raise EOFError
            read += part
            if len(read) > LONGEST_ANSWER:
                raise ValueError(f"an answer of more than {LONGEST_ANSWER} bytes")
        return bytes(read)

    def _words(self) -> str:
        try:
            text = self._log.read_bytes()[-LOG_TAIL:].decode(errors="replace").strip()
        except OSError:
            text = ""
        return text.splitlines()[-1] if text else "it said nothing"
