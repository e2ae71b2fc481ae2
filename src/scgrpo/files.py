"""Files that a crash at any moment leaves readable: written at once, read without a cut line."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

Row = dict[str, Any]
SCRATCH = ".tmp"
"""Ends the name of what is not written to its end."""

logger = logging.getLogger(__name__)


def write_atomically(path: Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Replace a file so that a reader sees the old or the new one, never a part.

    Args:
        path: the file; its folder is made.
        content: text (as UTF-8), bytes, or a function that writes the file at the path it is given.

    Raises:
        OSError: where it cannot be written; the old file is whole then, and nothing is left beside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = scratch_of(path)
    try:
        if callable(content):
            content(partial)
        else:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
        _sync(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def scratch_of(path: Path) -> Path:
    """Where a file or folder is written before it gets its name."""
    return path.with_name(path.name + SCRATCH)


def put_folder(path: Path) -> None:
    """Give a folder that was written at `scratch_of(path)` its name, in place of an older one."""
    for file in filter(Path.is_file, scratch_of(path).rglob("*")):
        _sync(file)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(scratch_of(path), path)


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
    """Whole rows; none where there is no file.

    A last line that a crash cut short is left out, as is any other broken line, which is said once.
    """
    if not path.exists():
        return []
    lines = list(jsonl_lines(path))
    tell_broken(path, [x.number for x in lines if x.row is None and x.raw.endswith(b"\n")])
    return [line.row for line in lines if line.row is not None]


def tell_broken(path: Path, numbers: Sequence[int]) -> None:
    """Say once that these lines of a file, if any, cannot be read and are left out."""
    if numbers:
        _warn_once(f"{path}: {broken_lines(numbers)} left out.")


def broken_lines(numbers: Sequence[int]) -> str:
    """That these lines are broken, in words such as "line 3 is no JSON object and is"."""
    if len(numbers) == 1:
        return f"line {numbers[0]} is no JSON object and is"
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"lines {', '.join(map(str, numbers[:5]))}{more} are no JSON objects and are"


@cache
def _warn_once(message: str) -> None:
    logger.warning(message)


def _row(raw: bytes) -> Row | None:
    try:
        row = json.loads(raw.decode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
