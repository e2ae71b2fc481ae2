"""Records on disk: whole or partial, in order, and one writer at a time."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from scgrpo.evaluation.records import read_records
from scgrpo.evaluation.store import FileStore, MemoryStore, key_of


def record(problem: str, sample: int, text: str = "", **more: Any) -> dict[str, Any]:
    base = {"split": "s", "problem_id": problem, "sample": sample, "reward": 1.0, "tokens": 2}
    return base | {"completion": text} | more


ROWS = [record("b", 1, "zwei\nZeilen\u2028"), record("a", 0, "x" * 5000), record("b", 0, "ü")]
KEYS = [("s", "a", 0), ("s", "b", 0), ("s", "b", 1)]


def test_rows_come_back_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "out.jsonl")
    store.append(ROWS[:2])
    store.append(ROWS[2:])
    assert [key_of(r) for r in store.read(KEYS)] == KEYS
    store.finish(KEYS)
    wanted = [ROWS[1], ROWS[2], ROWS[0]]
    assert list(store.read(KEYS)) == wanted
    assert read_records(tmp_path / "out.jsonl") == wanted
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]
    again = FileStore(tmp_path / "out.jsonl")
    assert list(again.read(KEYS)) == wanted and not again.interrupted


def test_texts_stay_on_disk(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "out.jsonl")
    store.append(ROWS)
    assert all("completion" not in score for score in store.scores.values())
    assert store.scores["s", "a", 0]["reward"] == 1.0
    kept = MemoryStore()
    kept.append(ROWS)
    assert list(kept.read(KEYS)) == list(store.read(KEYS))


def test_more_rows_join_a_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    first = FileStore(path)
    first.append(ROWS[:1])
    first.finish([KEYS[2]])
    second = FileStore(path)
    second.append(ROWS[1:])
    second.finish(KEYS)
    assert [key_of(r) for r in read_records(path)] == KEYS
    assert [key_of(r) for r in second.read(KEYS)] == KEYS


@pytest.mark.parametrize("cut", [1, 40, 5100])
def test_a_row_that_a_crash_cut_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "out.jsonl"
    FileStore(path).append(ROWS)
    partial = tmp_path / "out.jsonl.partial"
    partial.write_bytes(partial.read_bytes()[:-cut])
    store = FileStore(path)
    whole = len(store.scores)
    assert whole == (1 if cut == 5100 else 2)
    store.append([record("c", 0)])
    assert json.loads(partial.read_bytes().splitlines()[-1])["problem_id"] == "c"
    assert len(partial.read_bytes().splitlines()) == whole + 1


def test_a_crash_between_finishing_and_tidying_up_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    store = FileStore(path)
    store.append(ROWS)
    left = (tmp_path / "out.jsonl.partial").read_bytes()
    store.finish(KEYS)
    (tmp_path / "out.jsonl.partial").write_bytes(left)
    again = FileStore(path)
    assert again.interrupted and set(again.scores) == set(KEYS)
    again.finish(KEYS)
    assert [key_of(r) for r in read_records(path)] == KEYS


def test_half_a_surrogate_pair_can_be_kept(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "out.jsonl")
    store.append([record("a", 0, "broken \ud83d emoji")])
    (back,) = store.read([("s", "a", 0)])
    assert back["completion"] == "broken ? emoji"


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(json.dumps(ROWS[0]) + '\n{"split": "s"}\n')
    with pytest.raises(ValueError, match=r"line 2 of .*out.jsonl lacks problem_id, sample, reward"):
        FileStore(path)


def test_a_broken_line_costs_its_sample_alone(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "out.jsonl"
    store = FileStore(path)
    store.append(ROWS)
    store.finish(KEYS)
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], lines[1].replace(":", ";"), *lines[2:]]))
    again = FileStore(path)
    assert set(again.scores) == {KEYS[0], KEYS[2]}
    assert f"{path}: line 2 is no JSON object" in caplog.text
    again.append(ROWS[2:])
    again.finish(KEYS)
    assert read_records(path) == [ROWS[1], ROWS[2], ROWS[0]]


def test_a_file_is_locked_before_anything_is_drawn(tmp_path: Path) -> None:
    """Else the second one would put its rows in place of those that the first finished."""
    store = FileStore(tmp_path / "out.jsonl")
    with pytest.raises(OSError, match="another process is evaluating into"):
        FileStore(tmp_path / "out.jsonl")
    store.close()
    FileStore(tmp_path / "out.jsonl").close()
    assert list(tmp_path.iterdir()) == []


def _append(path: Path, outcome: Any) -> None:
    try:
        FileStore(path).append(ROWS[1:2])
        outcome.put("written")
    except OSError as error:
        outcome.put(str(error))


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    store = FileStore(path)
    store.append(ROWS[:1])
    context = multiprocessing.get_context("fork")
    outcome = context.Queue()
    for expected in ("another process is evaluating into", "written"):
        process = context.Process(target=_append, args=(path, outcome))
        process.start()
        assert expected in outcome.get(timeout=30)
        process.join()
        store.close()
