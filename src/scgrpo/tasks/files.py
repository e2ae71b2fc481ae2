"""Files of rows: read with `datasets`, and where they cannot be, the line that is to blame."""

import csv
import gzip
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from scgrpo.mistakes import ConfigError, on_one_line

if TYPE_CHECKING:
    from datasets import Dataset

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
DEEPEST = 100
_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')
"""Strings of JSON, and what opens and closes beside them."""
LONGEST_FIELD = 2**31 - 1
"""Characters of a field of a CSV file; Python's own limit is 131,072."""


def format_of(path: Path) -> str | None:
    """The format of a file by its name, maybe with `.gz`; None for another."""
    return FORMATS.get(Path(path.stem).suffix if path.suffix == ".gz" else path.suffix)


def read_files(files: Sequence[Path], place: str) -> "Dataset":
    """Rows of files of one format.

    Args:
        files: their names have a suffix of `FORMATS`.
        place: what they are, for messages.

    Raises:
        ConfigError: for files that are empty, or cannot be read, with the line where there is one.
    """
    from datasets import load_dataset

    if all(f.stat().st_size == 0 for f in files):
        raise ConfigError(f"{place} is empty (0 bytes); check how it was written.")
    kind = str(format_of(files[0]))
    for file in files:
        if kind == "csv":
            _refuse_broken_quotes(file, place)
        if kind == "json":
            _refuse_depth(file, place)
    try:
        return load_dataset(kind, data_files=[str(f) for f in files], split="train")
    except Exception as error:  # each format's parser raises its own kinds
        if "corresponds to no data" in str(error):
            raise ConfigError(f"{place} is empty (0 rows); check how it was written.") from error
        why = next(filter(None, map(_bad_line, files)), None) or reason_of(error)
        raise ConfigError(f"{place} cannot be read as {kind} ({why}); check the file.") from error


def reason_of(error: BaseException) -> str:
    """What the first cause of an error says."""
    while error.__cause__ is not None:
        error = error.__cause__
    return on_one_line(error, most=200)


def _open(file: Path) -> TextIO:
    opened = gzip.open if file.suffix == ".gz" else open
    return opened(file, "rt", encoding="utf-8", errors="replace", newline="")  # type: ignore


def _refuse_broken_quotes(file: Path, place: str) -> None:
    """Refuse quotes that make one row of several, which pandas does not notice."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        with _open(file) as lines:
            reader = csv.reader(lines, strict=True)
            for _ in reader:
                pass
    except (csv.Error, OSError, EOFError) as error:
        raise ConfigError(
            f"{place} cannot be read as csv ({file.name}, line {reader.line_num}: "
            f"{on_one_line(error)}); write a quote inside of quotes twice, and close all."
        ) from error
    finally:
        csv.field_size_limit(before)


def _refuse_depth(file: Path, place: str) -> None:
    """Refuse JSON in which the parsers would end the process, not raise an error."""
    try:
        with _open(file) as lines:
            for number, text in enumerate([lines.read()] if _is_one(file) else lines, start=1):
                end = _too_deep(text)
                if end is not None:
                    line = number + text.count("\n", 0, end)
                    raise ConfigError(
                        f"{place} cannot be read as json ({file.name}, line {line}: it is nested "
                        f"more than {DEEPEST} deep); check the file."
                    )
    except (OSError, EOFError):
        return  # of which the reader has its own to say


def _too_deep(text: str) -> int | None:
    """Where JSON is nested too deep, None where it is not."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return None
    depth = 0
    for mark in _MARKS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
        if depth > DEEPEST:
            return mark.start()
    return None


def _is_one(file: Path) -> bool:
    """Whether a file is one JSON value by its name, not a line for each row."""
    return ".json" in file.suffixes


def _bad_line(file: Path) -> str | None:
    """Where a file of JSON is no row, None where each line is one."""
    if format_of(file) != "json":
        return None
    try:
        with _open(file) as lines:
            whole = lines.read() if _is_one(file) else None
            lines.seek(0)
            if whole is not None and _is_json(whole):
                return _no_row(json.loads(whole), file.name)
            return _first_bad(lines, file.name)
    except (OSError, EOFError) as error:
        return f"{file.name}: {on_one_line(error)}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _first_bad(lines: Iterable[str], name: str) -> str | None:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_once)
        except ValueError as error:
            return f"{name}, line {number}: {on_one_line(error)}"
        if not isinstance(value, dict):
            return _no_row(value, f"{name}, line {number}")
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the column {name!r} stands twice")
    return dict(pairs)


def _no_row(value: Any, where: str) -> str | None:
    """What is wrong with a JSON value as a row or a list of rows."""
    if isinstance(value, list):
        for row, entry in enumerate(value):
            if not isinstance(entry, dict):
                return f"{where}, row {row}: {_kind(entry)} stands where a row should, an object"
        return None
    return None if isinstance(value, dict) else f"{where}: {_kind(value)} is no row, an object"


def _kind(value: Any) -> str:
    return {str: "a text", list: "a list", type(None): "null"}.get(type(value), f"{value!r:.60}")
