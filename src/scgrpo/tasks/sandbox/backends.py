"""Starting and ending the processes of a sandbox: isolated by bubblewrap, or not at all."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from scgrpo.tasks.sandbox import bubblewrap
from scgrpo.tasks.sandbox.bubblewrap import Bubblewrap
from scgrpo.tasks.sandbox.limits import Limits
from scgrpo.tasks.sandbox.seccomp import Filters, build_filters
from scgrpo.tasks.sandbox.shown import package_paths

END_SECONDS = 10.0
REPORT_SECONDS = 30.0
FIXED_PROCESSES = 3
"""Bubblewrap's own, the driver and the program, which the cap on processes allows on top."""


@dataclass(frozen=True)
class Running:
    """A driver that was started and waits for its config."""

    process: "subprocess.Popen[bytes]"
    config: dict[str, Any]
    """What the driver must know of where it runs."""
    end: Callable[[], None]
    """Ends every process and removes every file; may be called once."""


class Backend(Protocol):
    """A way to run drivers."""

    name: str

    def start(self, limits: Limits, packages: tuple[str, ...], channel: int) -> Running:
        """Start a driver.

        Args:
            limits: its caps.
            packages: installed packages that programs may import.
            channel: descriptor of the driver's end of the channel; stays the caller's to close.

        Raises:
            OSError: if no process can be started.
        """
        ...


class BubblewrapBackend:
    """Drivers in sandboxes.

    Args:
        isolation: how bubblewrap can be used here.
        seccomp: whether to filter system calls, where libseccomp is there.
    """

    name = "bubblewrap"

    def __init__(self, isolation: Bubblewrap, *, seccomp: bool = True) -> None:
        self.isolation = isolation
        self.filters = build_filters() if seccomp else None

    def start(self, limits: Limits, packages: tuple[str, ...], channel: int) -> Running:
        """See `Backend`."""
        info, info_end = os.pipe()
        with _readable(self.filters) as seccomp:
            command = self.isolation.command(
                limits, packages, channel=channel, info=info_end, seccomp=seccomp
            )
            kept = [channel, info_end, *([] if seccomp is None else [seccomp])]
            try:
                process = _popen(command, kept, {})
            finally:
                os.close(info_end)
        first = _first_process(info)
        config = {
            "uid": self.isolation.uid(),
            "isolated": True,
            "processes": limits.processes + FIXED_PROCESSES,
            "filters": [self.filters.program.hex()] if self.filters else [],
            "scratch": bubblewrap.SCRATCH,
            "spool": bubblewrap.SPOOL,
        }
        return Running(process, config, lambda: _end_namespace(process, first))


class SubprocessBackend:
    """Drivers without isolation: they read and write all that this user may.

    Caps on memory, time and output hold, and the filters do where libseccomp is there. Without
    it, a process that a program starts in a session of its own outlives it.
    """

    name = "subprocess"

    def __init__(self) -> None:
        self.filters = build_filters()

    def start(self, limits: Limits, packages: tuple[str, ...], channel: int) -> Running:
        """See `Backend`."""
        folder = tempfile.mkdtemp(prefix="scgrpo-program-")
        for part in ("scratch", "spool"):
            os.mkdir(os.path.join(folder, part))
        paths = {str(path.parent) for path in package_paths(packages)}
        environment = bubblewrap.driver_environment(
            str(bubblewrap.INSIDE.parent), ":".join(sorted(paths)), folder
        )
        process = _popen(bubblewrap.driver_command(channel), [channel], environment)
        config = {
            "uid": None,
            "isolated": False,
            # RLIMIT_NPROC would count all processes of this user.
            "processes": None,
            "filters": self.filters.both if self.filters else [],
            "scratch": os.path.join(folder, "scratch"),
            "spool": os.path.join(folder, "spool"),
        }

        def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_SECONDS)
            shutil.rmtree(folder, ignore_errors=True)

        return Running(process, config, end)


def _popen(
    command: list[str], kept: list[int], environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=kept,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


@contextmanager
def _readable(filters: Filters | None) -> Iterator[int | None]:
    """A descriptor from which bubblewrap reads the filter."""
    if filters is None:
        yield None
        return
    reader, writer = os.pipe()
    try:
        os.write(writer, filters.sandbox)
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _first_process(info: int) -> int | None:
    """Handle of the first process of the sandbox's process namespace; None if there is none."""
    text = b""
    try:
        while b"}" not in text and select.select([info], [], [], REPORT_SECONDS)[0]:
            piece = os.read(info, 4096)
            if not piece:
                return None
            text += piece
        return os.pidfd_open(json.loads(text)["child-pid"])
    except (ValueError, KeyError, ProcessLookupError):
        return None
    finally:
        os.close(info)


def _end_namespace(process: "subprocess.Popen[bytes]", first: int | None) -> None:
    """Kill the first process of a namespace, and with it the kernel kills the rest.

    Bubblewrap itself is left to collect it and leaves by itself. Were it killed first, the other
    would go to the machine's init, which in many a container collects nobody.
    """
    if first is not None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(first, signal.SIGKILL)
        os.close(first)
    try:
        process.wait(0.5 if first is None else END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_SECONDS)
