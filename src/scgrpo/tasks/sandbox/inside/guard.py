"""Caps and filters of the processes inside the sandbox."""

import ctypes
import math
import os
import resource
from contextlib import suppress
from typing import Any

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 22, 38
SECCOMP_MODE_FILTER = 2
INSTRUCTION = 8
MEGABYTE = 1 << 20
OPEN_FILES = 256
STACK = 128 * MEGABYTE
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def enter(config: dict[str, Any]) -> None:
    """Give up what the driver does not need, before any program is there.

    The caps are hard, so that no process of the sandbox can raise them again.

    Raises:
        OSError: if it cannot be given up.
    """
    # When memory is short, the kernel takes programs first.
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    uid = config["uid"]
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if config["isolated"]:
        # Processes of the program have the driver's uid: keep them from reading its memory.
        _prctl(PR_SET_DUMPABLE, 0)
    _cap(resource.RLIMIT_AS, config["memory_mb"] * MEGABYTE)
    _cap(resource.RLIMIT_CORE, 0)
    _cap(resource.RLIMIT_NOFILE, OPEN_FILES)
    _cap(resource.RLIMIT_STACK, STACK)
    _cap(resource.RLIMIT_MSGQUEUE, 0)


def confine(config: dict[str, Any]) -> None:
    """What the program's own process may not do, though the driver may: last before the program."""
    _cap(resource.RLIMIT_FSIZE, config["output_mb"] * MEGABYTE)
    if config["processes"] is not None:
        _cap(resource.RLIMIT_NPROC, config["processes"])
    if config["isolated"]:
        # Else /dev/stdin and /proc/self are closed to the program.
        _prctl(PR_SET_DUMPABLE, 1)
    for instructions in config["filters"]:
        _install(bytes.fromhex(instructions))


def limit_cpu(seconds: float, *, for_good: bool) -> None:
    """Kill this process once it has used so much more processor time, rounded up to a second.

    A program may ignore the signal, and raise the limit unless it is for good: this ends what does
    not mean harm, and what counts is the time that others read.

    Args:
        seconds: processor time.
        for_good: whether the process may not raise the limit again.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    whole = math.ceil(used.ru_utime + used.ru_stime + seconds)
    hard = whole + 1 if for_good else resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (whole, hard))


def unlimit_cpu() -> None:
    """Take back what `limit_cpu` set, if not for good."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _cap(name: int, value: int) -> None:
    hard = resource.getrlimit(name)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(name, (value, value))


def _install(instructions: bytes) -> None:
    program = _Filter(len(instructions) // INSTRUCTION, instructions)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))


def _prctl(option: int, value: int, pointer: Any = None) -> None:
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(option, ctypes.c_ulong(value), pointer or zero, zero, zero):
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")
