"""A task's options, each of its field's type."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scgrpo.tasks import load_task
from scgrpo.tasks.base import read_options


@dataclass(frozen=True)
class Dials:
    steps: int = 4
    share: float = 0.5
    data: str | Path | Mapping[str, str] | None = None
    packages: tuple[str, ...] = ("numpy",)
    world: Mapping[str, Any] | None = None


def test_values_of_the_right_types() -> None:
    options = {"steps": 3, "share": 1, "data": {"train": "a"}, "packages": ["a"], "world": {"s": 1}}
    assert read_options(Dials, "toy", options) == Dials(3, 1, {"train": "a"}, ("a",), {"s": 1})
    assert read_options(Dials, "toy", {"data": Path("a")}).data == Path("a")
    assert read_options(Dials, "toy", {"share": "1e-3"}).share == 1e-3


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("steps", "a", "steps is 'a', an option of the toy task; it must be a whole number."),
        ("steps", [], "steps is [], an option of the toy task; it must be a whole number."),
        ("steps", 4.5, "steps is 4.5, an option of the toy task; it must be a whole number."),
        ("steps", True, "steps is True, an option of the toy task; it must be a whole number."),
        ("steps", None, "steps is None, an option of the toy task; it must be a whole number."),
        ("share", {}, "share is {}, an option of the toy task; it must be a number."),
        ("share", float("nan"), "share is nan, an option of the toy task; it must be a number."),
        ("packages", 3, "packages is 3, an option of the toy task; it must be a list of texts."),
        ("stepz", 3, "the toy task has no option 'stepz'; it has steps, share, data, packages, "
         "world; did you mean 'steps'?"),
        ("no-such", 3, "the toy task has no option 'no_such'; it has steps, share, data, packages, "
         "world."),
    ],
)  # fmt: skip
def test_values_of_other_types(option: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_options(Dials, "toy", {option: value})
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("synthetic", {"steps": "a"}, "steps is 'a', an option of the synthetic task"),
        ("lookup", {"words": []}, r"words is \[\], an option of the lookup task"),
        ("synthetic", {"name": 1}, "the synthetic task has no option 'name'"),
        ("synthetic", {"self": 1}, "task 'synthetic' cannot have the options .*'self'"),
        ("humaneval", {"packages": 3}, "packages is 3, an option of the humaneval task"),
        ("gsm8k", {"data": 3}, "data is 3, an option of the gsm8k task"),
        ("shop", {"products": "x"}, "products is 'x', an option of the shop task"),
        ("appworld", {"seconds": 1.5}, "seconds is 1.5, an option of the appworld task"),
        ("nothing", {}, "unknown task 'nothing'; the tasks are"),
    ],
)
def test_tasks_refuse_them_at_once(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_task(name, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lenght": 3}, "task 'mine.py:Words' has no option 'lenght'; it has length, share; did "
         "you mean 'length'?"),
        ({"zzz": 3}, "task 'mine.py:Words' has no option 'zzz'; it has length, share."),
        ({"self": 3}, "task 'mine.py:Words' has no option 'self'; it has length, share."),
        ({"share": 3}, "task 'mine.py:Words' needs the option 'length', which is not given; write "
         "it below task_options (it has length, share)."),
    ],
)  # fmt: skip
def test_options_of_a_class_of_the_users_own(
    options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "class Words:\n"
        "    def __init__(self, length, share=0.5): raise RuntimeError('made')\n"
        "class Any:\n"
        "    def __init__(self, **options): raise RuntimeError(sorted(options))\n"
    )
    with pytest.raises(ValueError) as caught:
        load_task("mine.py:Words", **options)
    assert str(caught.value) == words
    with pytest.raises(RuntimeError, match="made"):
        load_task("mine.py:Words", length=3, share=1)
    with pytest.raises(RuntimeError, match="what-ever"):  # its own affair
        load_task("mine.py:Any", **{"what-ever": 3})
