"""Rows from local files in every format and from the hub, and the sentences where it fails."""

import gzip
import json

import datasets
import pytest
from datasets import Dataset

from scgrpo.tasks.sources import FilesOfSplits, Source, data_state, load_rows, local_path

ROWS = [{"question": "1+1?", "answer": "2", "more": 1}, {"question": "1+2?", "answer": "3"}]
SOURCE = Source("owner/Some-Data", {"problem": ("question", "problem"), "answer": ("answer",)})
GOLD = {"problem": ["1+1?", "1+2?"], "answer": ["2", "3"]}


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        Dataset.from_list(rows).to_csv(path, index=False)
    elif path.suffix == ".parquet":
        Dataset.from_list(rows).to_parquet(path)
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.parquet", "a.csv"])
def test_every_format_gives_the_tasks_columns_only(tmp_path, name):
    rows = load_rows(SOURCE, write(tmp_path / name))
    assert rows.column_names == ["problem", "answer"]
    assert rows["problem"][:] == GOLD["problem"]
    assert [str(answer) for answer in rows["answer"]] == GOLD["answer"]


def test_the_first_published_name_that_is_there_counts(tmp_path):
    source = Source("o/d", {"answer": ("solution", "answer")}, optional=frozenset({"answer"}))
    assert load_rows(source, write(tmp_path / "a.jsonl"))["answer"][:] == ["2", "3"]


def test_nested_columns(tmp_path):
    rows = [{"prompt": [{"role": "user", "content": "p"}], "reward_model": {"ground_truth": "7"}}]
    columns = {"problem": ("prompt.0.content",), "answer": ("reward_model.ground_truth",)}
    loaded = load_rows(Source("o/d", columns), write(tmp_path / "a.parquet", rows))
    assert loaded[:] == {"problem": ["p"], "answer": ["7"]}
    for missing in ("prompt.1.content", "prompt.0.text", "prompt.content", "reward_model.0", "x.y"):
        with pytest.raises(ValueError, match=f"no column '{missing}'"):
            load_rows(Source("o/d", {"problem": (missing,)}), tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "names",
    [
        ("train.jsonl", "test.jsonl"),
        ("data/train-00000-of-00001.jsonl", "data/test-00000-of-00001.jsonl"),
        ("train/rows.jsonl", "dev/rows.jsonl"),
        ("rows.jsonl", "test.jsonl"),
    ],
)
def test_of_a_folder_the_files_of_the_split_are_read(tmp_path, names):
    first, second = names
    write(tmp_path / first)
    write(tmp_path / second, [{"question": "secret", "answer": "0"}])
    assert load_rows(SOURCE, tmp_path)[:] == GOLD


def test_a_folder_of_several_files_is_one_split_in_the_order_of_names(tmp_path):
    write(tmp_path / "b.jsonl", ROWS[1:])
    write(tmp_path / "a.jsonl", ROWS[:1])
    assert load_rows(SOURCE, tmp_path)[:] == GOLD


def sentence(source, path):
    with pytest.raises(ValueError) as caught:
        load_rows(source, path)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_mistakes_with_files_are_one_sentence_each(tmp_path):
    assert "which does not exist" in sentence(SOURCE, tmp_path / "none.jsonl")
    assert "holds no .jsonl" in sentence(SOURCE, tmp_path)
    assert "has no file of the split 'train'" in sentence(
        SOURCE, write(tmp_path / "only" / "test.jsonl").parent
    )
    write(tmp_path / "two" / "a.csv")
    assert "several formats" in sentence(SOURCE, write(tmp_path / "two" / "a.jsonl").parent)
    (tmp_path / "notes.txt").write_text("x")
    assert "must be a folder or a file that ends in .jsonl" in sentence(
        SOURCE, tmp_path / "notes.txt"
    )
    (tmp_path / "empty.jsonl").touch()
    assert "is empty (0 bytes)" in sentence(SOURCE, tmp_path / "empty.jsonl")
    write(tmp_path / "none.json", [])
    assert "none.json" in sentence(SOURCE, tmp_path / "none.json")
    (tmp_path / "broken.jsonl").write_text('{"question": 1,\nno json')
    assert "cannot be read as json" in sentence(SOURCE, tmp_path / "broken.jsonl")
    message = sentence(SOURCE, write(tmp_path / "other.jsonl", [{"question": "x"}]))
    assert "other.jsonl has no column 'answer' (it has: question)" in message
    assert "schema of owner/Some-Data with --task-options '{data: PATH}'" in message


def test_a_hub_that_cannot_be_reached_names_the_cure():
    message = sentence(SOURCE, None)  # the tests run with HF_HUB_OFFLINE
    assert message.startswith("owner/Some-Data (split train) cannot be loaded from the hub (")
    assert "--task-options '{data: PATH}'" in message


def test_the_hub_is_asked_for_config_split_and_revision(monkeypatch):
    asked = []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or Dataset.from_list(ROWS)
    )
    source = Source("o/d", {"problem": ("question",)}, split="test", config="main", revision="v1")
    assert load_rows(source)["problem"][:] == GOLD["problem"]
    assert asked == [(("o/d", "main"), {"split": "test", "revision": "v1"})]


def test_data_states(tmp_path, monkeypatch):
    assert data_state(SOURCE, write(tmp_path / "a.jsonl")).state == "present"
    missing = data_state(SOURCE, tmp_path / "none")
    assert missing.state == "missing" and "does not exist" in missing.detail
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    offline = data_state(SOURCE)
    assert offline.state == "missing" and "--task-options" in offline.detail
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    assert data_state(SOURCE).state == "downloadable"
    (tmp_path / "owner___some-data").mkdir()
    assert data_state(SOURCE).state == "present"


def test_local_paths():
    assert local_path(None, "train") is None
    assert str(local_path("a/b", "train")) == "a/b"
    assert str(local_path({"train": "a", "test": "b"}, "test")) == "b"
    with pytest.raises(ValueError, match="no path for split 'test'"):
        local_path({"train": "a"}, "test")
    for value in (3, "", ["a"]):
        with pytest.raises(ValueError, match="it must be a path"):
            local_path(value, "train")


def test_a_file_belongs_to_one_split(tmp_path):
    write(tmp_path / "one" / "problems.jsonl")
    files = FilesOfSplits()
    for _ in range(2):
        files.claim(SOURCE, tmp_path / "one", "train")
    with pytest.raises(ValueError, match=r"both splits, 'train' and 'test', to .*problems\.jsonl"):
        files.claim(SOURCE, tmp_path / "one", "test")
    write(tmp_path / "two" / "test.jsonl")
    (tmp_path / "two" / "train.jsonl").symlink_to(tmp_path / "one" / "problems.jsonl")
    files.claim(SOURCE, tmp_path / "two", "train")
    files.claim(SOURCE, tmp_path / "two", "test")
    with pytest.raises(ValueError, match="does not exist"):
        files.claim(SOURCE, tmp_path / "three", "train")
    files.claim(SOURCE, None, "test")
