"""A lock that one process at a time holds, and that a dead process does not hold."""

import logging
import os
import socket
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # no POSIX system: nobody is kept from writing the same file twice
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class Lock:
    """A lock file, held until it is released or the process ends, in whatever way.

    Where locks are impossible (some network file systems, a folder that is read-only), nobody is
    kept out, and a warning says so.

    Args:
        path: the lock file; its folder is made, and goes again if it is empty in the end.
        doing: what the holder does, for the refusal, as in "training into runs/x".

    Raises:
        OSError: where another process holds it, with its number.
    """

    def __init__(self, path: Path, doing: str) -> None:
        self._made = [folder for folder in path.parents if not folder.exists()]
        self.path, self._file = path, _held(path, doing)
        if self._file is not None:
            _LOCKS.add(self)

    def release(self) -> None:
        """Let others in; the file is gone."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self.forget()
            with suppress(OSError):  # the first one that holds something ends it
                for folder in self._made:
                    folder.rmdir()

    def forget(self) -> None:
        """Close the file, which alone does not let others in while another process has it open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()


_LOCKS: "weakref.WeakSet[Lock]" = weakref.WeakSet()


def _forget_all() -> None:
    """A forked worker that outlives its parent must not hold the parent's locks."""
    for lock in list(_LOCKS):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _held(path: Path, doing: str) -> IO[bytes] | None:
    if fcntl is None:
        return None
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab+")
        except OSError as error:
            return _unlocked(path, error)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(file)
            file.close()
            if isinstance(error, BlockingIOError | PermissionError):
                raise OSError(
                    f"another process is {doing} now{holder}; wait for it, or choose another "
                    "output."
                ) from None
            return _unlocked(path, error)
        if _is_still_there(file, path):
            file.truncate(0)
            file.write(f"{os.getpid()} on {socket.gethostname()}".encode())
            file.flush()
            return file
        file.close()  # its last holder removed it after we opened it


def _unlocked(path: Path, error: OSError) -> None:
    logger.warning(f"{path} cannot be locked ({error}); see that no other process writes there.")


def _holder(file: IO[bytes]) -> str:
    file.seek(0)
    said = file.read(200).decode(errors="replace").strip()
    return f" ({said})" if said else ""


def _is_still_there(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
