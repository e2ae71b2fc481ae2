"""Files that a crash at any moment leaves readable: written at once, read without a cut line."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write_atomically(path: Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Replace a file so that a reader sees the old or the new one, never a part.

    Args:
        path: the file; its folder is made.
        content: text (as UTF-8), bytes, or a function that writes the file at the path it is given.

    Raises:
        OSError: where it cannot be written; the old file is whole then, and nothing is left beside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".tmp")
    try:
        if callable(content):
            content(partial)
        else:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Line:
    """A line of a JSON lines file that is not blank."""

    number: int
    """From 1."""
    place: int
    """Bytes before it."""
    raw: bytes
    row: Row | None
    """None where it is no JSON object."""


def jsonl_lines(path: Path) -> Iterator[Line]:
    """Lines of a JSON lines file, read one after the other.

    Lines end at a line feed alone: JSON allows other separators inside of a string.

    Raises:
        OSError: for a file that is missing or cannot be read.
    """
    place = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield Line(number, place, raw, _row(raw))
            place += len(raw)


def read_jsonl(path: Path) -> list[Row]:
    """Rows up to a line that a crash cut short; none where there is no file."""
    if not path.exists():
        return []
    whole = takewhile(lambda row: row is not None, (line.row for line in jsonl_lines(path)))
    return [row for row in whole if row is not None]


def _row(raw: bytes) -> Row | None:
    try:
        row = json.loads(raw.decode(errors="replace"))
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
