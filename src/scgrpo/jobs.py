"""Several `scgrpo` commands beside each other, as child processes."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Seconds that a child has to end after it was told to."""


@dataclass
class Job:
    """One command, its output in a file."""

    name: str
    arguments: Sequence[str]
    log: Path
    after: Sequence[str] = ()
    """Names of jobs that must have ended well before this one starts."""
    launcher: str = ""
    """What takes `-m scgrpo.cli ...` in place of one Python process on one thread."""
    done: Callable[[], None] = lambda: None
    """Called once it has ended well."""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    code: int | None = None
    """Exit code, once `look` has seen the end."""
    seconds: float = 0.0
    """That it took; until then the time of its start."""

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def words(self) -> str:
        """The error in its log, or else its last line."""
        lines = self._lines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        said = (errors or lines or ["it said nothing"])[-1]
        return f"{said} (all of it: {self.log})"

    @property
    def last_line(self) -> str:
        """What it said last, "" before the first word."""
        return (self._lines() or [""])[-1]

    def _lines(self) -> list[str]:
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        return [line.strip() for line in lines if line.strip()]

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C comes from us, and once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.seconds = time.monotonic()
        threads = {} if self.launcher else {"OMP_NUM_THREADS": "1"}
        # -P: a folder in the working directory is no module.
        program = shlex.split(self.launcher) or [sys.executable, "-P"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*program, "-m", "scgrpo.cli", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TOKENIZERS_PARALLELISM": "false"} | threads,
                start_new_session=True,
            )

    def look(self) -> None:
        """See whether it is over."""
        if self.process is not None and self.code is None and not self.running:
            self.code, self.seconds = self.process.returncode, time.monotonic() - self.seconds
            if self.code == 0:
                self.done()


def cores() -> int:
    """CPU cores that this process may use."""
    known = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM leaves as an exception, so that no job outlives us in its own session."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: ending the jobs takes a while
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@_terminable()
def run_jobs(
    jobs: Sequence[Job],
    tick: Callable[[Sequence[Job]], None],
    announce: Callable[[str], None] = print,
    *,
    more: Callable[[set[str]], Sequence[Job]] = lambda over: (),
    at_a_time: int | None = None,
    poll: float = 0.3,
) -> dict[str, str]:
    """Run all jobs, whatever becomes of some; what comes after a failed one is left out.

    Args:
        jobs: in the order in which they start.
        tick: called with all jobs after each look at them; what it raises ends them.
        announce: says that Ctrl-C was understood.
        more: called first and whenever a job is over, with the names of all that are; gives the
            jobs that follow from them.
        at_a_time: jobs beside each other; the number of cores by default.
        poll: seconds between two looks.

    Returns:
        What went wrong, by the name of the job.

    Raises:
        KeyboardInterrupt: after the jobs, told once, have saved and ended.
        SystemExit: on SIGTERM, after the jobs have ended.
    """
    known, failed, seen = list(jobs), dict[str, str](), None
    try:
        while True:
            _judge(known, failed)
            over = {job.name for job in known if job.code is not None} | set(failed)
            if over != seen:
                known, seen = [*known, *more(over)], over
                continue
            unfinished = {job.name for job in known} - over
            waiting = [j for j in known if j.process is None and j.name in unfinished]
            ready = [job for job in waiting if unfinished.isdisjoint(job.after)]
            free = (at_a_time or cores()) - sum(job.running for job in known)
            for job in ready[: max(free, 0)]:
                job.start()
            tick(known)
            if not unfinished:
                return failed
            time.sleep(poll)
    except KeyboardInterrupt:
        announce("Interrupted: saving; Ctrl-C again stops at once.")
        _interrupt([job.process for job in known if job.process])
        raise
    finally:
        _end([job.process for job in known if job.process])


def _judge(jobs: Sequence[Job], failed: dict[str, str]) -> None:
    """Note what failed, and what cannot start because of it."""
    for job in jobs:
        job.look()
        broken = [name for name in job.after if name in failed]
        if job.code:
            failed[job.name] = job.words
        elif broken:
            failed[job.name] = f"left out, since {broken[0]} failed"


def _interrupt(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Hand on each Ctrl-C, the first of which lets a job save, and wait."""
    while any(process.poll() is None for process in processes):
        for process in processes:
            process.send_signal(signal.SIGINT)
        with suppress(KeyboardInterrupt):
            while any(process.poll() is None for process in processes):
                time.sleep(0.1)


def _end(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def flags(values: Mapping[str, Any]) -> list[str]:
    """`--key=value` for each, mappings as JSON, null left out."""
    said = {key: json.dumps(v) if isinstance(v, dict) else v for key, v in values.items()}
    return [f"--{key.replace('_', '-')}={v}" for key, v in said.items() if v is not None]
