"""Files of rows: read with `datasets`, and where they cannot be, the line that is to blame."""

import csv
import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from scgrpo.mistakes import ConfigError, on_one_line

if TYPE_CHECKING:
    from datasets import Dataset

FORMATS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}
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
    for file in files if kind == "csv" else ():
        _refuse_broken_quotes(file, place)
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


def _bad_line(file: Path) -> str | None:
    """Where a file of JSON is no row, None where each line is one."""
    if format_of(file) != "json":
        return None
    try:
        with _open(file) as lines:
            whole = lines.read() if ".json" in file.suffixes else None
            lines.seek(0)
            if whole is not None and _is_json(whole):
                return _no_row(json.loads(whole), file.name)
            return _first_bad(lines, file.name)
    except (OSError, EOFError) as error:
        return f"{file.name}: {on_one_line(error)}"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _first_bad(lines: Iterable[str], name: str) -> str | None:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_once)
        except RecursionError:
            return f"{name}, line {number}: it is nested too deeply"
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
