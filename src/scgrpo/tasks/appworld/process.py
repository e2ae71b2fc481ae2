"""Processes that run AppWorld: started, asked with a time limit, and ended for certain."""

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
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
WATCH_SECONDS = 1.0
"""Between two looks at what a process wrote."""
BLOCK = 4096
"""Bytes that any file or folder takes at least."""


class WorkerError(RuntimeError):
    """A process that runs AppWorld died, hung or failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        """`died`, `hung`, `failed`, or `full` where it wrote too much."""


class Worker:
    """One process, which answers one request at a time.

    Args:
        command: what runs `worker.py`.
        log: file for what it prints.
        environment: its environment variables.
        folder: its working directory.
        disk: most bytes in the folder of the log; a process that writes more is ended. None for
            no limit.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        folder: Path,
        disk: int | None = None,
    ) -> None:
        self._log = log
        self._disk = disk
        self._is_full = False
        self._is_ended = threading.Event()
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
        if disk is not None:
            threading.Thread(target=self._watch, args=(disk,), daemon=True).start()

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
            if self._is_full:
                most = f"more than {(self._disk or 0) >> 20} MiB"
                raise WorkerError("full", f"it wrote {most}, or hid what it wrote") from error
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
        self._is_ended.set()
        self._kill()
        self._process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _watch(self, most: int) -> None:
        while not self._is_ended.wait(WATCH_SECONDS):
            if disk_use(self._log.parent, most) > most:
                self._is_full = True
                if self.alive:
                    self._kill()
                return

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
            with self._log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
                text = file.read(LOG_TAIL).decode(errors="replace").strip()
        except OSError:
            text = ""
        return text.splitlines()[-1] if text else "it said nothing"


def disk_use(folder: Path, most: int) -> int:
    """Bytes of all files and folders in a folder, counted until they are too many.

    What cannot be looked into, for its rights or the length of its path, counts as too many.

    Args:
        folder: whose content others write meanwhile.
        most: above which counting stops.
    """
    used, folders = 0, [str(folder)]
    while folders and used <= most:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    used += max(status.st_size, 512 * status.st_blocks, BLOCK)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    if used > most:
                        break
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone in between
        except OSError:
            return most + 1
    return used


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
