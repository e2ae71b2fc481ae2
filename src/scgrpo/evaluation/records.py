"""Evaluation records: one row a sample, kept as JSON lines, complete or marked partial."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scgrpo.evaluation.metrics import Rewards, _matrix
from scgrpo.files import Line, jsonl_lines, tell_broken

Record = dict[str, Any]
COLUMNS = ("split", "problem_id", "sample", "reward")


def read_records(path: Path) -> list[Record]:
    """Records of a JSON lines file; a broken line is left out, and said.

    Raises:
        ValueError: for a missing file, or one of something else.
    """
    if not path.is_file():
        raise ValueError(f"there are no evaluation records at {path}; check the path.")
    return [record for _, record in whole_records(path)]


def whole_records(path: Path) -> Iterator[tuple[Line, Record]]:
    """Records of a JSON lines file and where they stand; broken lines are left out, and said.

    Raises:
        ValueError: for a JSON object that is no record, or a file of broken lines alone: something
            else was written there.
    """
    broken: list[int] = []
    found = False
    for line in jsonl_lines(path):
        if line.row is None:
            broken.append(line.number)
        else:
            yield line, record_of(line, path)
            found = True
    if broken and not found:
        raise ValueError(f"line {broken[0]} of {path} is no JSON object; delete it, or the file.")
    tell_broken(path, broken)


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


def encode_record(record: Record) -> bytes:
    """A record as its line of the file."""
    # A server may send half of a surrogate pair, which UTF-8 does not have.
    return (json.dumps(record, ensure_ascii=False) + "\n").encode(errors="replace")


def record_of(line: Line, path: Path) -> Record:
    """The record of a line that is a JSON object.

    Raises:
        ValueError: for one that is no record, by the file and the number of the line.
    """
    assert line.row is not None
    missing = [name for name in COLUMNS if name not in line.row]
    if missing:
        raise ValueError(f"line {line.number} of {path} lacks {', '.join(missing)}; delete it.")
    return line.row
