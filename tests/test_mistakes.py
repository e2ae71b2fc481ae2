"""Values and errors in messages: short, on one line, whatever a user's class does."""

from typing import Any

import pytest

from scgrpo.mistakes import on_one_line, shown


class Loud:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\nb", r"'a\nb'"),
        (None, "None"),
        ("a  b", "'a  b'"),
        ("a" * 200, "'" + "a" * 119 + " ..."),
        (Loud(), "<Loud, whose repr raises RuntimeError>"),
        pytest.param(10**5000, "<int, whose repr raises ValueError>", id="long"),
        ("\udcff", r"'\udcff'"),
    ],
)
def test_values(value: Any, expected: str) -> None:
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("a\n  b."), "a b"),
        (ValueError("a\udcff"), r"a\udcff"),
        (KeyError(), "KeyError"),
        (Silent(), "Silent"),
        ("x" * 500, "x" * 400 + " ..."),
    ],
)
def test_errors(error: object, expected: str) -> None:
    assert on_one_line(error) == expected
