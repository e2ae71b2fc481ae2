"""Standard input, output and errors of a program: files in memory that have no name."""

import os
from typing import Any

PIECE = 1 << 20
ERRORS_KEPT = 2000


class Spool:
    """Three files.

    Args:
        folder: where they are made.
    """

    def __init__(self, folder: str) -> None:
        self.descriptors = [_file(folder, part) for part in ("stdin", "stdout", "stderr")]

    def give(self, text: str) -> None:
        """Set standard input, and empty the others."""
        for descriptor in self.descriptors:
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.ftruncate(descriptor, 0)
        view = memoryview(text.encode("utf-8", "surrogatepass"))
        while view:
            view = view[os.write(self.descriptors[0], view) :]
        os.lseek(self.descriptors[0], 0, os.SEEK_SET)

    def become_standard(self) -> None:
        """Let them be standard input, output and errors of this process."""
        for number, descriptor in enumerate(self.descriptors):
            os.dup2(descriptor, number)

    def read(self, cap: int) -> dict[str, Any]:
        """What was written, of the errors the end.

        Args:
            cap: most bytes of output.
        """
        output, errors = (_read_back(descriptor, cap) for descriptor in self.descriptors[1:])
        return {
            "output": output.decode("utf-8", "replace"),
            "full": len(output) >= cap,
            "stderr": errors[-ERRORS_KEPT:].decode("utf-8", "replace"),
        }

    def close(self) -> None:
        """Remove them."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def _file(folder: str, part: str) -> int:
    path = os.path.join(folder, f"{part}-{os.getpid()}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    return descriptor


def _read_back(descriptor: int, cap: int) -> bytes:
    content = bytearray()
    while len(content) < cap:
        piece = os.pread(descriptor, min(PIECE, cap - len(content)), len(content))
        if not piece:
            break
        content += piece
    return bytes(content)
