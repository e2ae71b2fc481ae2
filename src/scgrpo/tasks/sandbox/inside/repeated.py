"""One process for all tests of a stateless script, which is set back between them.

Set back are standard streams, arguments, `random`, the limits of recursion and of digits, caches
that hold objects of the script, and what is left of these objects. A process that grew, or in which
anything that is watched has changed, serves no other test.
"""

import gc
import io
import os
import random
import re
import resource
import select
import sys
import time
import types
import typing
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from inside import endings, guard, stateless
from inside.spool import Spool

CPU_CLOCK = 2
"""Of the clocks that a process has, the one of processor time, with its threads."""
MOST_GROWTH_KB = 32 << 10
ENDED_WELL, SERVES_ON = 1, 2
_STREAMS = ("stdin", "stdout", "stderr")


class Task(NamedTuple):
    """A stateless script."""

    code: types.CodeType
    names: dict[str, Any]
    """What stands in its namespace before it."""
    arguments: list[str]
    cpu_seconds: float


class Repeated:
    """A process that runs a script as often as it is asked.

    Args:
        task: the script.
        config: of the driver.
    """

    def __init__(self, task: Task, config: dict[str, Any]) -> None:
        self._cap = config["output_mb"] * guard.MEGABYTE
        self._isolated = config["isolated"]
        self._spool = Spool(config["spool"])
        asked, self._ask = os.pipe()
        self._told, tell = os.pipe()
        gc.freeze()
        self._child = os.fork()
        if self._child == 0:
            _serve(task, config, self._spool, asked, tell)
        os.close(asked)
        os.close(tell)
        self._clock = (~self._child << 3) | CPU_CLOCK

    def run(self, job: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Run it once; the answer, and whether the process can serve another test."""
        self._spool.give(job["stdin"])
        started, used = time.monotonic(), time.clock_gettime(self._clock)
        with suppress(OSError):  # it may be gone, which shows below
            os.write(self._ask, b"x")
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        in_time = bool(poll.poll(job["wall_seconds"] * 1000))
        told = os.read(self._told, 1) if in_time else b""
        state = told[0] if told else 0
        seconds, used = time.monotonic() - started, time.clock_gettime(self._clock) - used
        answer = {
            "is_clear": True,
            "in_time": in_time and used <= job["cpu_seconds"],
            "code": 0 if state & ENDED_WELL else 1,
            "seconds": seconds,
            "cpu_seconds": used,
        }
        answer |= self._spool.read(self._cap)
        if answer["full"]:
            answer["code"] = 1
        return answer, bool(state & SERVES_ON)

    def end(self) -> None:
        """End the process."""
        os.close(self._ask)
        os.close(self._told)
        endings.end(self._child, self._isolated)
        self._spool.close()


def _serve(task: Task, config: dict[str, Any], spool: Spool, asked: int, tell: int) -> NoReturn:
    try:
        kept = {asked, tell, *spool.descriptors}
        for descriptor in set(range(3, guard.OPEN_FILES)) - kept:
            try:
                os.close(descriptor)
            except OSError:
                continue
        if not config["isolated"]:
            os.setsid()
        os.chdir(config["scratch"])
        null = os.open(os.devnull, os.O_RDWR)
        guard.confine(config)
        watched, limits, size = stateless.Watched(), _limits(), _size()
        while os.read(asked, 1):
            guard.limit_cpu(task.cpu_seconds, for_good=False)
            state = ENDED_WELL if _run(task, spool) else 0
            _forget(null, limits)
            if watched.is_as_before() and _size() - size < MOST_GROWTH_KB:
                state |= SERVES_ON
            os.write(tell, bytes([state]))
    finally:
        os._exit(1)


def _run(task: Task, spool: Spool) -> bool:
    """Run the script as in a fresh process; whether it ended well."""
    spool.become_standard()
    for number, name in enumerate(_STREAMS):
        setattr(sys, name, _stream(number))
    sys.argv = list(task.arguments)
    random.seed(0)
    module = types.ModuleType("__main__")
    names = vars(module)
    names |= task.names
    names |= {name: getattr(sys, name) for name in _STREAMS if name in task.names}
    names["__builtins__"] = stateless.safe_builtins()
    sys.modules["__main__"] = module
    try:
        exec(task.code, names)
    except SystemExit:
        pass
    except BaseException:
        return False
    try:
        names.clear()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:
        return False
    return True


def _forget(null: int, limits: tuple[int, int]) -> None:
    """Remove what is left of the script's objects; what they still do is seen by nobody."""
    for number, name in enumerate(_STREAMS):
        os.dup2(null, number)
        setattr(sys, name, _stream(number))
    sys.setrecursionlimit(limits[0])
    sys.set_int_max_str_digits(limits[1])
    re.purge()
    for clear in typing._cleanups:  # type: ignore[attr-defined]
        clear()
    gc.collect()


def _stream(number: int) -> io.TextIOWrapper:
    """A standard stream, as the interpreter makes it."""
    old = getattr(sys, f"__{_STREAMS[number]}__")
    raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
    buffer = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer, old.encoding, old.errors, newline="\n", line_buffering=old.line_buffering
    )


def _limits() -> tuple[int, int]:
    return sys.getrecursionlimit(), sys.get_int_max_str_digits()


def _size() -> int:
    """Most memory that this process has ever had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
