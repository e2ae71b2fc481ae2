"""Evaluation records: one row a sample, kept as JSON lines, complete or marked partial."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scgrpo.evaluation.metrics import Rewards, _matrix

Record = dict[str, Any]
COLUMNS = ("split", "problem_id", "sample", "reward")


def read_records(path: Path) -> list[Record]:
    """Records of a JSON lines file.

    Raises:
        ValueError: for a missing file, or a line that is no record.
    """
    if not path.is_file():
        raise ValueError(f"there are no evaluation records at {path}; check the path.")
    return _parse(path, cut_ending=False)


def reward_matrix(records: Iterable[Record]) -> tuple[list[str], Rewards]:
    """Problem ids in order of appearance, and their rewards `(P, K)`.

    A sample that the verifier left unscored (null) counts as 0: it is not known to be solved.

    Raises:
        ValueError: for several splits, or where problems have unequal numbers of samples.
    """
    records = list(records)
    splits = sorted({str(record["split"]) for record in records})
    if len(splits) > 1:
        raise ValueError(
            f"the records are of several splits ({', '.join(splits)}), whose problems cannot be "
            "averaged; choose one."
        )
    rows: dict[str, dict[int, float]] = {}
    for record in records:
        samples = rows.setdefault(str(record["problem_id"]), {})
        samples[int(record["sample"])] = float(record["reward"] or 0.0)
    sizes = {problem: len(samples) for problem, samples in rows.items()}
    most = max(sizes.values(), default=0)
    for problem, size in sizes.items():
        if size != most:
            raise ValueError(
                f"problem {problem!r} has {size} samples where others have {most}; finish the "
                "evaluation by running it again with the same output."
            )
    ordered = [[samples[i] for i in sorted(samples)] for samples in rows.values()]
    return list(rows), _matrix(ordered)


class RecordFile:
    """A file of records that appears under its name only when it is whole.

    Until then its rows are appended to `NAME.partial`, from which a later run goes on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")

    def load(self) -> list[Record]:
        """All rows known so far; a last line cut by a crash is dropped."""
        rows = read_records(self.path) if self.path.exists() else []
        if self.partial.exists():
            rows += _parse(self.partial, cut_ending=True)
            _write_lines(self.partial, rows)
        return rows

    def append(self, records: Iterable[Record]) -> None:
        """Add rows, on disk when this returns."""
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        with self.partial.open("a", encoding="utf-8") as file:
            file.writelines(_line(record) for record in records)
            file.flush()
            os.fsync(file.fileno())

    def finish(self, records: Iterable[Record]) -> None:
        """Put all rows under the final name at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _write_lines(self.path, records)
        self.partial.unlink(missing_ok=True)


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _write_lines(path: Path, records: Iterable[Record]) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with scratch.open("w", encoding="utf-8") as file:
        file.writelines(_line(record) for record in records)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _parse(path: Path, *, cut_ending: bool) -> list[Record]:
    # splitlines() would also break at U+2028, which JSON strings may hold.
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            missing = [name for name in COLUMNS if name not in record]
        except (ValueError, TypeError):
            if cut_ending and number == len(lines):
                break
            raise ValueError(
                f"line {number} of {path} is no JSON object; delete it, or the file."
            ) from None
        if missing:
            raise ValueError(f"line {number} of {path} lacks {', '.join(missing)}; delete it.")
        records.append(record)
    return records
