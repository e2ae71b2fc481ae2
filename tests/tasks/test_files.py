"""Files of rows that cannot be read: the file, the line and what is wrong there."""

import gzip
import json
from pathlib import Path

import pytest

from scgrpo.mistakes import ConfigError
from scgrpo.tasks.files import format_of, read_files

GOOD = '{"prompt": "a", "answer": "b"}\n'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", GOOD + '{"prompt": "c", "ans\n' + GOOD, "a.jsonl, line 2: Invalid control"),
        ("a.jsonl", "\nno json\n" + GOOD, "a.jsonl, line 2: Expecting value"),
        ("a.jsonl", GOOD + "3\n", "a.jsonl, line 2: 3 is no row, an object"),
        ("a.jsonl", GOOD + '"x"\n', "a.jsonl, line 2: a text is no row"),
        ("a.jsonl", GOOD + "[1, 2]\n", "a.jsonl, line 2, row 0: 1 stands where a row should"),
        ("a.jsonl", '["a", "b"]\n["c", "d"]\n', "line 1, row 0: a text stands where a row should"),
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}\n', "line 1: the column 'prompt' stands twice"),
        (
            "a.jsonl",
            GOOD + '{"a": ' + "[" * 9000 + "]" * 9000 + "}\n",
            "line 2: it is nested more than 100",
        ),
        ("a.json", "[\n" * 9000, "a.json, line 101: it is nested more than 100 deep"),
        ("a.json", '[\n{"a":' + "{" * 9000, "a.json, line 2: it is nested more than 100 deep"),
        ("a.jsonl", "\xff\xfe", "a.jsonl, line 1: Expecting value"),
        ("a.json", '[{"prompt": "a"},', r"a.json, line 1: Expecting value|Illegal"),
        ("a.json", "3", "a.json: 3 is no row, an object"),
        ("a.json", '"abc"', "a.json: a text is no row"),
        ("a.json", '[{"prompt": "a"}, 5]', "a.json, row 1: 5 stands where a row should"),
        ("a.json", "[]", "is empty"),
        ("a.csv", 'prompt,answer\n"a,b\nc,d\n', "a.csv, line 3: unexpected end of data"),
        ("a.csv", 'prompt,answer\n"a"x,b\n"c,d\ne,"f\n', "a.csv, line 2: ',' expected after"),
        ("a.csv", "prompt,answer\na,b\nc,d,e\n", "Expected 2 fields in line 3, saw 3"),
        ("a.csv", "prompt,answer\n", "is empty"),
        ("a.csv", "prompt,answer\n\xff,b\n", "can't decode byte 0xff"),
        ("a.parquet", "hello", "Parquet"),
        ("a.parquet", "", "is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, content: str, words: str) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=words) as caught:
        read_files([file], f"dataset '{file}'")
    sentence = str(caught.value)
    assert sentence.startswith(f"dataset '{file}' ") and len(sentence.splitlines()) == 1


def test_the_file_of_several_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(GOOD)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt") as file:
        file.write(GOOD + "3\n")
    with pytest.raises(ConfigError, match=r"data cannot .* \(b\.jsonl\.gz, line 2: 3 is no row"):
        read_files([tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"], "data")


def test_good_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    long = "x" * 200_000
    file.write_text(f'prompt,answer\n"a ""b"", c\nd",1\n5\' 3" tall,{long}\n')
    rows = read_files([file], "data")
    assert rows["prompt"][:] == ['a "b", c\nd', "5' 3\" tall"] and rows["answer"][1] == long
    (tmp_path / "a.jsonl").write_text(GOOD + "\n" + GOOD)
    assert len(read_files([tmp_path / "a.jsonl"], "data")) == 2
    flat = {"prompt": "[" * 500 + '"' + "\\" + "{" * 500, "answer": [[i] for i in range(500)]}
    (tmp_path / "flat.jsonl").write_text(json.dumps(flat))
    assert read_files([tmp_path / "flat.jsonl"], "data")["prompt"][0] == flat["prompt"]
    assert format_of(Path("a.jsonl.gz")) == "json" and format_of(Path("a.txt")) is None
