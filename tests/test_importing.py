"""Functions that a user names, from a file or a module of the working directory."""

import sys

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
