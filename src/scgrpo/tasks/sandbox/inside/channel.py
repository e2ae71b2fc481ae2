"""Messages over a socket: eight bytes of length, then JSON. Used on both sides of the sandbox."""

import json
import os
import select
import time
from typing import Any

HEAD = 8
PIECE = 1 << 18
MOST_PARTS = 2_000_000
"""Lists, dicts and commas of a message that has a limit: each may become a hundred bytes."""


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
            ValueError: for a message that is nested too deeply.
        """
        try:
            content = json.dumps(message).encode()
        except RecursionError as error:
            raise ValueError("a message that is nested too deeply") from error
        view = memoryview(len(content).to_bytes(HEAD, "big") + content)
        while view:
            self.wait(select.POLLOUT, deadline)
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
            limit: most bytes of a message, which then may have `MOST_PARTS` parts too.

        Raises:
            Late: if none comes in time.
            EOFError: if there is no other side any more.
            ValueError: for what is no message, or one that is too long or nested too deeply.
        """
        length = int.from_bytes(self._read(HEAD, deadline), "big")
        if limit is not None and length > limit:
            raise ValueError(f"a message of {length} bytes, with a limit of {limit}")
        text = self._read(length, deadline).decode("ascii")
        if limit is not None and has_more_parts(text, MOST_PARTS):
            raise ValueError(f"a message of more than {MOST_PARTS} parts")
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("a message that is nested too deeply") from error

    def _read(self, length: int, deadline: float | None) -> bytearray:
        content = bytearray()
        while len(content) < length:
            self.wait(select.POLLIN, deadline)
            try:
                piece = os.read(self.descriptor, min(PIECE, length - len(content)))
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the other side is gone") from error
            if not piece:
                raise EOFError("the other side is gone")
            content += piece
        return content

    def wait(self, event: int, deadline: float | None) -> None:
        """Wait for an event of `select.poll`.

        Raises:
            Late: if it does not come in time.
        """
        poll = select.poll()
        poll.register(self.descriptor, event)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            raise Late("no answer in time")


def has_more_parts(text: str, most: int) -> bool:
    """Whether JSON opens more lists and dicts and has more commas than this, outside of texts.

    It is told without parsing, in little memory. Where texts hold such marks, they are counted too.
    """
    if sum(map(text.count, "[{,")) <= most:
        return False
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    parts = texts = start = 0
    while True:
        opening = text.find('"', start)
        end = len(text) if opening < 0 else opening
        parts += sum(text.count(mark, start, end) for mark in "[{,")
        texts += 1
        if parts > most or texts > most:
            return True
        closing = text.find('"', end + 1)
        if opening < 0 or closing < 0:
            return False
        start = closing + 1
