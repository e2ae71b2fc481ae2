"""Functions of a user's file or working directory: found, or the file and line to blame."""

import math
import sys
from pathlib import Path

import pytest

from scgrpo.importing import import_function


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    yield tmp_path
    for name in ("my_rewards", "my_helpers"):
        sys.modules.pop(name, None)


def test_modules_of_the_working_directory_are_found(here):
    (here / "my_helpers.py").write_text("ANSWER = 3\n")
    (here / "my_rewards.py").write_text("import my_helpers\ndef f():\n    return my_helpers.ANSWER")
    (here / "by_path.py").write_text("import my_helpers\ndef f():\n    return my_helpers.ANSWER")
    assert import_function("my_rewards:f", "reward")() == 3
    assert import_function("by_path.py:f", "reward")() == 3


def test_none_takes_the_place_of_an_installed_one(here):
    (here / "colorsys.py").write_text("raise SystemExit('mine')\n")
    sys.modules.pop("colorsys", None)
    assert import_function("colorsys:rgb_to_hsv", "reward")(0, 0, 0) == (0, 0, 0)
    assert sys.path[-1] == str(here) and sys.path.count(str(here)) == 1


def test_functions_of_modules_and_files(tmp_path: Path) -> None:
    assert import_function("math:sqrt", "reward") is math.sqrt
    (tmp_path / "judge.py").write_text("def f():\n    return 3\nclass C:\n    pass\n")
    assert import_function(f"{tmp_path}/judge.py:f", "reward")() == 3
    assert import_function(f"{tmp_path}/judge.py:C", "reward").__name__ == "C"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1\n1 / 0\n", r"\(ZeroDivisionError in .*judge\.py, line 2: division by zero\)"),
        ("def g():\n    {}['a']\n\ng()\n", r"\(KeyError in .*judge\.py, line 2: 'a'\)"),
        ("x = 1\ndef f(:\n", r"\(SyntaxError in .*judge\.py, line 2: invalid syntax\)"),
        ("  x = 1\n y\n", r"\(SyntaxError in .*judge\.py, line \d: "),
        ("import sys\nsys.exit(0)\n", r"\(SystemExit in .*judge\.py, line 2: 0\)"),
        ("import no_such\n", r"\(ModuleNotFoundError in .*judge\.py, line 1: No module named 'no"),
        ("import json\njson.loads('x')\n", r"\(JSONDecodeError in .*judge\.py, line 2: Expecting"),
        ("f = 3\n", r"is of type int, which is no function"),
        ("import math as f\n", r"is of type module, which is no fun"),
        ("def g(): pass\n_h = g\n", r"\(.*judge\.py has no 'f'; it has g\)"),
        ("", r"\(.*judge\.py has no 'f'; it has no function\)"),
    ],
)
def test_files_that_fail(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "judge.py").write_text(content)
    with pytest.raises(ValueError, match=rf"^reward '.*judge\.py:f' (cannot be imported )?{words}"):
        import_function(f"{tmp_path}/judge.py:f", "reward")


def test_an_error_that_cannot_be_said(tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_text(
        "class E(Exception):\n    def __str__(self):\n        return 1 / 0\nraise E\n"
    )
    with pytest.raises(ValueError, match=r"E in .*judge\.py, line 4: E\)"):
        import_function(f"{tmp_path}/judge.py:f", "reward")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "judge.py").write_bytes(b"\x00\xff")
    with pytest.raises(ValueError, match=r"judge\.py:f' cannot be imported \("):
        import_function(f"{tmp_path}/judge.py:f", "reward")


@pytest.mark.parametrize("name", ["", ":", ":f", ".x:f", "math", "no.such:f", "none.py:f", "a b:f"])
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be imported \(.*; write it as package\.module:"):
        import_function(name, "reward")
