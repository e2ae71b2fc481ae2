"""Several `scgrpo` commands beside each other, as child processes."""

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

from scgrpo.cli.errors import Failure

PATIENCE = 20.0
"""Seconds that a child has to end after it was told to."""


@dataclass
class Job:
    """One command, its output in a file."""

    name: str
    arguments: Sequence[str]
    log: Path
    after: tuple[str, ...] = ()
    """Names of jobs that must have ended well before this one starts."""
    launcher: str = ""
    """Command that takes `-m scgrpo.cli ...` in place of one Python process."""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    seconds: float = 0.0
    _started: float = field(default=0.0, repr=False)

    def start(self, threads: int) -> None:
        """Start it in a session of its own, so that Ctrl-C comes from us, and once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        settings = {"TOKENIZERS_PARALLELISM": "false"}
        if not self.launcher:
            settings["OMP_NUM_THREADS"] = str(threads)
        # -P: a folder in the working directory is no module.
        program = shlex.split(self.launcher) or [sys.executable, "-P"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*program, "-m", "scgrpo.cli", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | settings,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def ended(self) -> bool:
        """Whether it is over; its seconds are known from then on."""
        if self.process is None or self.process.poll() is None:
            return False
        self.seconds = self.seconds or time.monotonic() - self._started
        return True

    def signal(self, number: int) -> None:
        if self.running and self.process is not None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)

    def check(self) -> None:
        """Refuse an unsuccessful end.

        Raises:
            Failure: with the command's own words.
        """
        if self.process is None or self.process.poll() in (None, 0):
            return
        raise Failure(f"{self.name} failed: {last_words(self.log)} (all of it: {self.log})")


def last_words(log: Path) -> str:
    """The error in a log, or else its last line."""
    lines = [text.strip() for text in log.read_text(errors="replace").splitlines() if text.strip()]
    errors = [text.removeprefix("error: ") for text in lines if text.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job],
    tick: Callable[[], None],
    announce: Callable[[str], None] = print,
    *,
    poll: float = 0.3,
) -> None:
    """Run all jobs, one thread each and as many at a time as there are cores.

    Args:
        jobs: in the order in which they start.
        tick: called after each look at the jobs, to show how far they are.
        announce: says that Ctrl-C was understood.
        poll: seconds between two looks.

    Raises:
        Failure: when one fails; the others are ended.
        KeyboardInterrupt: after the jobs, told once, have saved and ended.
        SystemExit: on SIGTERM, after the jobs have ended.
    """

    def look() -> None:
        for job in jobs:
            job.check()
        tick()

    _run(list(jobs), look, announce, cores(), poll, {})


def run_all_jobs(
    jobs: Sequence[Job],
    tick: Callable[[Sequence[Job]], None],
    announce: Callable[[str], None] = print,
    *,
    more: Callable[[set[str]], Sequence[Job]] = lambda settled: (),
    at_a_time: int | None = None,
    poll: float = 0.3,
) -> dict[str, str]:
    """Run all jobs, whatever becomes of some; what comes after a failed one is left out.

    Args:
        jobs: in the order in which they start.
        tick: called with all jobs after each look at them.
        announce: says that Ctrl-C was understood.
        more: called with the names of all jobs that are over, each time that there are new ones;
            gives the jobs that follow from them.
        at_a_time: jobs beside each other; the number of cores by default.
        poll: seconds between two looks.

    Returns:
        What went wrong, by the name of the job.

    Raises:
        KeyboardInterrupt: after the jobs, told once, have saved and ended.
        SystemExit: on SIGTERM, after the jobs have ended.
    """
    everything, seen = list(jobs), set[str]()
    failed: dict[str, str] = {}

    def look() -> None:
        settled = {job.name for job in everything if job.ended} | set(failed)
        if settled != seen:
            seen.update(settled)
            everything.extend(more(settled))
        tick(everything)

    return _run(everything, look, announce, at_a_time or cores(), poll, failed)


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
def _run(
    jobs: list[Job],
    look: Callable[[], None],
    announce: Callable[[str], None],
    at_a_time: int,
    poll: float,
    failed: dict[str, str],
) -> dict[str, str]:
    """Start what can start until all is over; `look` may add jobs."""
    try:
        while True:
            _judge(jobs, failed)
            unfinished = {job.name for job in jobs if not job.ended} - set(failed)
            waiting = _waiting(jobs, failed)
            ready = [job for job in waiting if not unfinished.intersection(job.after)]
            free = at_a_time - sum(job.running for job in jobs)
            for job in ready[: max(free, 0)]:
                job.start(threads=1)
            look()
            if not unfinished and not _waiting(jobs, failed):
                _judge(jobs, failed)
                return failed
            time.sleep(poll)
    except KeyboardInterrupt:
        announce("Interrupted: saving; Ctrl-C again stops at once.")
        _interrupt(jobs)
        raise
    finally:
        _end(jobs)


def _waiting(jobs: Sequence[Job], failed: Mapping[str, str]) -> list[Job]:
    return [job for job in jobs if job.process is None and job.name not in failed]


def _judge(jobs: Sequence[Job], failed: dict[str, str]) -> None:
    """Note what failed, and what cannot start because of it."""
    for job in jobs:
        if job.name in failed:
            continue
        if job.process is not None and job.process.poll():
            failed[job.name] = f"{last_words(job.log)} (all of it: {job.log})"
        elif broken := [name for name in job.after if name in failed]:
            failed[job.name] = f"left out, since {broken[0]} failed"


def _interrupt(jobs: Sequence[Job]) -> None:
    """Hand on each Ctrl-C, the first of which lets a job save, and wait."""
    while any(job.running for job in jobs):
        for job in jobs:
            job.signal(signal.SIGINT)
        with suppress(KeyboardInterrupt):
            while any(job.running for job in jobs):
                time.sleep(0.1)


def _end(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.signal(signal.SIGTERM)
    for job in jobs:
        if job.process is not None:
            try:
                job.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(job.process.pid, signal.SIGKILL)
                job.process.wait()
