"""Warm sandboxes in store, so that a program does not wait for one to start."""

import atexit
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scgrpo.tasks.sandbox.backends import Backend
from scgrpo.tasks.sandbox.limits import Limits
from scgrpo.tasks.sandbox.process import Sandbox, SandboxError

ATTEMPTS = 2


class SandboxPool:
    """Hands out sandboxes, each for one program, and starts new ones meanwhile.

    Args:
        backend: how sandboxes are started.
        limits: their caps.
        packages: installed packages that programs may import.
        warm: sandboxes kept in store; about 15 MB each.
    """

    def __init__(
        self, backend: Backend, limits: Limits, packages: tuple[str, ...] = (), *, warm: int = 2
    ) -> None:
        self.backend, self.limits, self.packages = backend, limits, packages
        self._owner = os.getpid()
        self._store: queue.SimpleQueue[Sandbox | SandboxError] = queue.SimpleQueue()
        self._checkers: queue.SimpleQueue[Sandbox] = queue.SimpleQueue()
        self._wanted = threading.Semaphore(warm)
        self._is_closed = threading.Event()
        # One thread starts them all and lives as long as the pool: bubblewrap's
        # --die-with-parent kills a sandbox when the thread that started it ends.
        self._starter = threading.Thread(target=self._keep_store, daemon=True)
        self._starter.start()
        atexit.register(self.close)

    @property
    def is_mine(self) -> bool:
        """Whether it is open and belongs to this process: a fork has none of its threads."""
        return not self._is_closed.is_set() and os.getpid() == self._owner

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """A fresh, warm sandbox, which ends with the block.

        Raises:
            SandboxError: if none can be started.
        """
        sandbox = self._take()
        try:
            yield sandbox
        finally:
            sandbox.close()

    @contextmanager
    def checker(self) -> Iterator[Sandbox]:
        """A sandbox for what judges programs, which is kept for the next if all went well.

        Raises:
            SandboxError: if none can be started.
        """
        try:
            sandbox = self._checkers.get_nowait()
        except queue.Empty:
            sandbox = self._take()
        try:
            yield sandbox
        except BaseException:
            sandbox.close()
            raise
        if sandbox.is_lost or not self.is_mine:
            sandbox.close()
        else:
            self._checkers.put(sandbox)

    def close(self) -> None:
        """End the sandboxes in store; those in use end with their blocks. May be called again."""
        if not self.is_mine:
            return
        self._is_closed.set()
        self._wanted.release()
        self._starter.join()
        for store in (self._store, self._checkers):
            while not store.empty():
                item = store.get()
                if isinstance(item, Sandbox):
                    item.close()
        atexit.unregister(self.close)

    def _take(self) -> Sandbox:
        if not self.is_mine:
            raise SandboxError("this pool of sandboxes is closed, or belongs to another process")
        for attempt in range(ATTEMPTS):
            item = self._store.get()
            self._wanted.release()
            try:
                if isinstance(item, SandboxError):
                    raise item
                item.wait_until_ready()
                return item
            except SandboxError:
                if isinstance(item, Sandbox):
                    item.close()
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _keep_store(self) -> None:
        while True:
            self._wanted.acquire()
            if self._is_closed.is_set():
                return
            try:
                self._store.put(Sandbox(self.backend, self.limits, self.packages))
            except SandboxError as error:
                self._store.put(error)
            except Exception as error:  # else whoever waits for a sandbox would wait for ever
                self._store.put(SandboxError(f"{type(error).__name__}: {error}"))
