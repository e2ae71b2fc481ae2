"""Messages over a socket: eight bytes of length, then JSON. Used on both sides of the sandbox."""

import json
import os
import select
import time
from typing import Any

HEAD = 8
PIECE = 1 << 18


class Late(Exception):
    """The other side did not take or send a message in time."""


class Channel:
    """One end of a socket pair.

    Args:
        descriptor: file descriptor of the end; stays the caller's to close.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)

    def send(self, message: Any, deadline: float | None = None) -> None:
        """Send a message.

        Args:
            message: what JSON can hold.
            deadline: on the clock of `time.monotonic`; none waits for ever.

        Raises:
            Late: if the other side does not take it in time.
            EOFError: if there is no other side any more.
        """
        content = json.dumps(message).encode()
        view = memoryview(len(content).to_bytes(HEAD, "big") + content)
        while view:
            self._wait(select.POLLOUT, deadline)
            try:
                view = view[os.write(self.descriptor, view[:PIECE]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the other side is gone") from error

    def receive(self, deadline: float | None = None, limit: int | None = None) -> Any:
        """The next message.

        Args:
            deadline: on the clock of `time.monotonic`; none waits for ever.
            limit: most bytes of a message.

        Raises:
            Late: if none comes in time.
            EOFError: if there is no other side any more.
            ValueError: for what is no message, or too long a one.
        """
        length = int.from_bytes(self._read(HEAD, deadline), "big")
        if limit is not None and length > limit:
            raise ValueError(f"a message of {length} bytes, with a limit of {limit}")
        try:
            return json.loads(self._read(length, deadline))
        except RecursionError as error:
            raise ValueError("a message that is nested too deeply") from error

    def _read(self, length: int, deadline: float | None) -> bytes:
        content = bytearray()
        while len(content) < length:
            self._wait(select.POLLIN, deadline)
            try:
                piece = os.read(self.descriptor, min(PIECE, length - len(content)))
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the other side is gone") from error
            if not piece:
                raise EOFError("the other side is gone")
            content += piece
        return bytes(content)

    def _wait(self, event: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self.descriptor, event)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            raise Late("no answer in time")
