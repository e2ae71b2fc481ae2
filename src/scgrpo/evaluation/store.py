"""Where the records of an evaluation are kept while it goes on, and from which it is resumed."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from scgrpo.evaluation.records import Record, encode_record, whole_records
from scgrpo.files import jsonl_lines, write_atomically
from scgrpo.locks import Lock

Key = tuple[str, str, int]
SCORE = ("step", "split", "problem_id", "sample", "reward", "tokens", "finish_reason", "turns")
"""Columns that stay in memory; texts do not."""


def key_of(record: Record) -> Key:
    """Split, problem and sample: what a record is of."""
    return str(record["split"]), str(record["problem_id"]), int(record["sample"])


class Store(Protocol):
    """Records by key."""

    scores: dict[Key, Record]
    """All that is known, in the order in which it became so; at least the columns of `SCORE`."""
    interrupted: bool
    """Whether an earlier run left it unfinished."""

    def append(self, records: Iterable[Record]) -> None:
        """Add records, which are safe when this returns."""
        ...

    def finish(self, keys: Iterable[Key]) -> None:
        """Close the whole set, in this order."""
        ...

    def read(self, keys: Iterable[Key]) -> Iterator[Record]:
        """Whole records."""
        ...

    def close(self) -> None:
        """Let others write; what was appended stays."""
        ...


class MemoryStore:
    """Records in memory only."""

    interrupted = False

    def __init__(self) -> None:
        self.scores: dict[Key, Record] = {}

    def append(self, records: Iterable[Record]) -> None:
        self.scores |= {key_of(record): record for record in records}

    def finish(self, keys: Iterable[Key]) -> None:
        pass

    def read(self, keys: Iterable[Key]) -> Iterator[Record]:
        return (self.scores[key] for key in keys)

    def close(self) -> None:
        pass


class FileStore:
    """A file of records that appears under its name only when it is whole.

    Until then its rows are appended to `NAME.partial`, from which a later run goes on. In memory
    are the scores and the rows' places in the files, so that long samples do not fill it.

    Args:
        path: JSON lines file.
        visit: called with each record that is there already.

    Raises:
        ValueError: for a line that is no record.
        OSError: where another process writes the file now.
    """

    def __init__(self, path: Path, visit: Callable[[Record], None] = lambda record: None) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.scores: dict[Key, Record] = {}
        self._places: dict[Key, tuple[Path, int, int]] = {}
        self._appending: IO[bytes] | None = None
        self._lock: Lock | None = self._locked()
        self.interrupted = self.partial.exists()
        try:
            if self.path.exists():
                self._scan(self.path, visit)
            if self.interrupted:
                _drop_cut_line(self.partial)
                self._scan(self.partial, visit)
        except BaseException:
            self.close()
            raise

    def append(self, records: Iterable[Record]) -> None:
        file = self._open()
        place = file.seek(0, os.SEEK_END)
        for record in records:
            line = encode_record(record)
            file.write(line)
            self._remember(record, self.partial, place, len(line))
            place += len(line)
        file.flush()
        os.fsync(file.fileno())

    def finish(self, keys: Iterable[Key]) -> None:
        """Put all rows under the final name at once."""
        ordered = list(keys)
        places: dict[Key, tuple[Path, int, int]] = {}

        def write(scratch: Path) -> None:
            with scratch.open("wb") as file:
                for key, line in zip(ordered, self._lines(ordered), strict=True):
                    places[key] = self.path, file.tell(), len(line)
                    file.write(line)

        write_atomically(self.path, write)
        self._places = places
        self.partial.unlink(missing_ok=True)
        self.close()

    def read(self, keys: Iterable[Key]) -> Iterator[Record]:
        return map(json.loads, self._lines(keys))

    def close(self) -> None:
        """Let other processes write the file."""
        if self._appending is not None:
            self._appending.close()
            self._appending = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _locked(self) -> Lock:
        return Lock(self.path.with_name(self.path.name + ".lock"), f"evaluating into {self.path}")

    def _open(self) -> IO[bytes]:
        if self._appending is None:
            self.partial.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._lock or self._locked()
            self._appending = self.partial.open("ab")
        return self._appending

    def _scan(self, path: Path, visit: Callable[[Record], None]) -> None:
        for line, record in whole_records(path):
            visit(record)
            self._remember(record, path, line.place, len(line.raw))

    def _remember(self, record: Record, path: Path, place: int, length: int) -> None:
        key = key_of(record)
        self.scores[key] = {name: record[name] for name in SCORE if name in record}
        self._places[key] = path, place, length

    def _lines(self, keys: Iterable[Key]) -> Iterator[bytes]:
        files: dict[Path, Any] = {}
        try:
            for key in keys:
                path, place, length = self._places[key]
                if path not in files:
                    files[path] = path.open("rb")
                files[path].seek(place)
                line = files[path].read(length)
                yield line if line.endswith(b"\n") else line + b"\n"
        finally:
            for file in files.values():
                file.close()


def _drop_cut_line(path: Path) -> None:
    """Take away a last line that a crash cut, so that rows can be appended."""
    last = next(iter(deque(jsonl_lines(path), maxlen=1)), None)
    if last is not None and not last.raw.endswith(b"\n"):
        os.truncate(path, last.place)
