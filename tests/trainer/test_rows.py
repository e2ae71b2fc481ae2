"""Rows that a run would break off with: the row and the column, before any compute is spent."""

import json

import pytest
from datasets import Dataset, load_dataset

from scgrpo.trainer import rows as rows_module
from scgrpo.trainer.rows import check_rows
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_dataset

USER = {"role": "user", "content": "a"}


def read(tmp_path, prompts):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"prompt": p, "answer": "b"}) + "\n" for p in prompts))
    return load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("prompts", "row", "fault"),
    [
        (["a", None], 1, "None as 'prompt', which is no text and no list of messages"),
        (["a", ""], 1, "'' as 'prompt', which is empty"),
        ([[USER], []], 1, r"\[\] as 'prompt', which is empty"),
        ([[], []], 0, r"\[\] as 'prompt', which is empty"),
        ([1, 2], 0, "1 as 'prompt', which is no text"),
        ([True], 0, "True as 'prompt', which is no text"),
        ([{"role": "user", "content": "a"}], 0, "no text and no list of messages"),
        ([["a", "b"]], 0, "which has 'a' where a message, a mapping of role and content, should"),
        ([[USER], [{"role": "user"}]], 1, "has a message without content"),
        ([[USER], [{"content": "a"}]], 1, "has a message without a role"),
        ([[USER], [USER, {"role": "user", "content": None}]], 1, "has a message without content"),
        ([[USER], [{"role": "", "content": "a"}]], 1, "has a message without a role"),
        ([[USER], [{"role": "user", "content": 3}]], 1, "a message whose content is 3"),
        ([[USER], [USER, "hello"]], 1, "which has 'hello' where a message"),
        (["a", [USER]], 1, "which is a list of messages, where row 0 has a text"),
        ([[USER], "a"], 1, "which is a text, where row 0 has a list of messages"),
        (["a", 3], 1, "3 as 'prompt', which is no text"),
    ],
)
def test_prompts(tmp_path, prompts, row, fault):
    with pytest.raises(ValueError, match=rf"^row {row} of the set has .*{fault}") as caught:
        check_rows(read(tmp_path, prompts), "the set")
    assert "\n" not in str(caught.value)


def test_rows_are_counted_over_batches_and_selections(monkeypatch):
    monkeypatch.setattr(rows_module, "BATCH", 4)
    data = Dataset.from_dict({"prompt": ["a"] * 10 + [""] + ["b"] * 5})
    with pytest.raises(ValueError, match="row 10 of x "):
        check_rows(data, "x")
    with pytest.raises(ValueError, match="row 2 of x "):
        check_rows(data.select([3, 15, 10, 0]), "x")
    check_rows(data.filter(lambda row: row["prompt"] != ""), "x")


@pytest.mark.parametrize(
    "prompts",
    [
        ["a", " "],
        [[USER], [{"role": "system", "content": ""}, USER]],
        [[{"role": "user", "content": [{"type": "text", "text": "a"}]}]],
        [[USER, {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}, USER]],
        [[USER], [{"role": "user", "content": [{"type": "text", "text": "a"}]}]],
    ],
)
def test_good_prompts(tmp_path, prompts):
    check_rows(read(tmp_path, prompts), "the set")


def test_whole_columns_are_never_made_into_python(monkeypatch):
    monkeypatch.setattr(rows_module, "_fault", None)
    check_rows(tiny_dataset().shuffle(seed=0), "x")
    check_rows(Dataset.from_dict({"prompt": ["a", "b"]}), "x")
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    check_rows(Dataset.from_dict({"prompt": [[USER, call, USER]]}), "x")


@pytest.mark.parametrize("column", ["prompts", "completions", "self"])
def test_columns_that_are_arguments_of_rewards(column):
    data = Dataset.from_dict({"prompt": ["a"], column: [1]})
    with pytest.raises(ValueError, match=f"^the set has a column '{column}', which is an argument"):
        check_rows(data, "the set")


def test_a_script_is_told_the_row_and_the_column(tmp_path):
    data = Dataset.from_dict({"prompt": ["Qa"] * 7 + [""]})
    with pytest.raises(ValueError, match=r"^row 7 of train_dataset has '' as 'prompt', which is e"):
        trainer(config(tmp_path), train_dataset=data)
    with pytest.raises(ValueError, match=r"^train_dataset has a column 'completions'"):
        trainer(
            config(tmp_path),
            train_dataset=Dataset.from_dict({"prompt": ["Qa"] * 8, "completions": ["b"] * 8}),
        )
