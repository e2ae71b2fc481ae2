"""Files that are written at once and read without what a crash cut."""

import json

import pytest

from scgrpo.files import jsonl_lines, put_folder, read_jsonl, scratch_of, write_atomically


@pytest.mark.parametrize(
    "content",
    ["ü\u2028\n", "ü\u2028\n".encode(), lambda path: path.write_bytes("ü\u2028\n".encode())],
)
def test_a_file_is_replaced_whole(tmp_path, content):
    path = tmp_path / "new" / "file.txt"
    for _ in range(2):
        write_atomically(path, content)
        assert path.read_bytes() == b"\xc3\xbc\xe2\x80\xa8\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, "old")

    def half(scratch):
        scratch.write_text("ha")
        assert path.read_text() == "old"
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


ROWS = [{"a": 1}, {"a": "x\u2028y"}, {"a": None}]


def test_what_a_crash_cut_is_left_out_without_a_word(tmp_path, caplog):
    path = tmp_path / "rows.jsonl"
    assert read_jsonl(path) == []
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    path.write_text(whole)
    assert read_jsonl(path) == ROWS
    for cut in range(1, 5):
        path.write_text(whole[:-cut])
        assert read_jsonl(path) == (ROWS if cut == 1 else ROWS[:2])
    assert caplog.messages == []


def test_a_broken_line_costs_itself_and_is_said_once(tmp_path, caplog):
    path = tmp_path / "rows.jsonl"
    whole = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    path.write_text(whole + '{"a": "half\n' + whole)
    for _ in range(2):
        assert read_jsonl(path) == ROWS + ROWS
    assert caplog.messages == [f"{path}: line 4 is no JSON object and is left out."]
    path.write_text("no\n" * 7 + whole)
    assert read_jsonl(path) == ROWS
    said = "lines 1, 2, 3, 4, 5 and 2 more are no JSON objects and are left out."
    assert caplog.messages[1:] == [f"{path}: {said}"]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "model"
    for content in ("old", "new"):
        scratch_of(target).mkdir()
        (scratch_of(target) / "weights").write_text(content)
        put_folder(target)
        assert (target / "weights").read_text() == content
    assert list(tmp_path.iterdir()) == [target]


def test_lines_say_where_they_stand_and_whether_they_are_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"a": "ü"}\n\n[1]\nno\n{"b": "\xff"}'.encode("latin-1"))
    lines = list(jsonl_lines(path))
    assert [line.number for line in lines] == [1, 3, 4, 5]
    assert [line.row for line in lines] == [{"a": "\ufffd"}, None, None, {"b": "\ufffd"}]
    content = path.read_bytes()
    assert all(content[line.place :].startswith(line.raw) for line in lines)
