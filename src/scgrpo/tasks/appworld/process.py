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
LONGEST_ANSWER = 2**20
"""Bytes. What is decoded takes up to forty times as much."""
ANSWERS: Mapping[str, Mapping[str, type]] = {
    "open": {"apps": dict},
    "execute": {"output": str, "completed": bool},
    "evaluate": {"success": bool},
}
"""What the answer to each request holds; a process that runs the model's code may send anything."""
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
                bufsize=0,
                stderr=errors,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def ask(
        self, do: str, seconds: float, *, longest: int = LONGEST_ANSWER, **arguments: Any
    ) -> dict[str, Any]:
        """Its answer to a request; a process that gave none in time is ended.

        Args:
            do: what is asked, one of `ANSWERS`.
            seconds: time limit.
            longest: most bytes of the answer.
            arguments: of the request.

        Raises:
            WorkerError: if it died, took too long, sent what is no answer, or answered with an
                error.
        """
        line = json.dumps({"do": do, **arguments}) + "\n"
        deadline = time.monotonic() + seconds
        try:
            self._write(line.encode(), deadline)
            answer = _decoded(self._read_line(deadline, longest), ANSWERS[do])
        except TimeoutError as error:
            self.end()
            raise WorkerError("hung", f"{do} took more than {seconds:g} s") from error
        except (OSError, EOFError) as error:
            self.end()
            raise WorkerError("died", f"the process ended during {do}: {self._words()}") from error
        except (ValueError, RecursionError) as error:
            self.end()
            raise WorkerError("died", f"it did not answer to {do} but sent {error}") from error
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

    def _write(self, line: bytes, deadline: float) -> None:
        assert self._process.stdin is not None
        if self._process.stdin.closed:
            raise BrokenPipeError
        channel = self._process.stdin.fileno()
        poll = select.poll()
        poll.register(channel, select.POLLOUT)
        left = memoryview(line)
        while left:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            left = left[os.write(channel, left) :]

    def _read_line(self, deadline: float, longest: int) -> bytes:
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
            if len(read) > longest:
                raise ValueError(f"more than {longest} bytes")
        return bytes(read)

    def _words(self) -> str:
        try:
            text = self._log.read_bytes()[-LOG_TAIL:].decode(errors="replace").strip()
        except OSError:
            text = ""
        return text.splitlines()[-1] if text else "it said nothing"


def _decoded(line: bytes, expected: Mapping[str, type]) -> dict[str, Any]:
    """An answer, with `error`, or with `ok` and under it what is expected.

    Raises:
        ValueError, RecursionError: for anything else.
    """
    try:
        answer = json.loads(line)
    except RecursionError:
        raise RecursionError("JSON that is nested too deeply") from None
    if isinstance(answer, dict) and "error" in answer:
        return answer
    result = answer.get("ok") if isinstance(answer, dict) else None
    if not isinstance(result, dict) or not all(
        isinstance(result.get(name), kind) for name, kind in expected.items()
    ):
        raise ValueError(f"JSON without {', '.join(expected)}: {line[:80]!r}")
    return answer
