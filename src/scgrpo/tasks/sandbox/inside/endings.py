"""Ending a program's process with all that it started, and removing what it left."""

import os
import select
import signal
import time
from contextlib import suppress
from typing import Any

FIRST_IN_NAMESPACE = 2
"""Process id of the driver where process ids are its own; bubblewrap's is 1."""


def wait(child: int, seconds: float) -> bool:
    """Whether the child ended in time."""
    handle = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)


def end(child: int, isolated: bool) -> tuple[int, Any]:
    """End the child and all that it started; its exit status and what it used."""
    alone = isolated and os.getpid() == FIRST_IN_NAMESPACE
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
        if alone:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    with suppress(ProcessLookupError):
        while alone:  # until nobody is left who could be killed
            os.kill(-1, signal.SIGKILL)
            time.sleep(0.001)
    return status, usage


def clear(folder: str, mode: int) -> bool:
    """Remove what a program left in a folder of this mode; whether that was all of it."""
    with suppress(OSError):  # it may be root's, and then it still has its mode
        os.chmod(folder, mode & 0o7777)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            import shutil

            with suppress(OSError, RecursionError):
                _open_up(entry.path)
                shutil.rmtree(entry.path)
        else:
            with suppress(OSError):
                os.unlink(entry.path)
    return not os.listdir(folder)


def _open_up(folder: str) -> None:
    """Give back the right to enter and to empty a folder and those in it."""
    os.chmod(folder, 0o700)
    for root, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                os.chmod(path, 0o700)
