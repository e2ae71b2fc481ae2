"""Values as people write them, against the types of fields."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import SchedulerType

from scgrpo.written.values import Misfit, coerce


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("1e-6", float, 1e-6),
        (3, float, 3.0),
        ("3", int, 3),
        (3, float | None, 3.0),
        ("null", int | None, None),
        (None, str | None, None),
        ("none", str | list[str] | None, "none"),
        ("True", bool, True),
        ("no", bool | None, False),
        (True, str | bool, True),
        ("true", str | bool, True),
        ("all", str | bool, "all"),
        ("[a, b]", list[str], ["a", "b"]),
        (["1", "2.5"], list[float] | None, [1.0, 2.5]),
        ("wandb", list[str] | None, ["wandb"]),
        ("{a: 1}", dict[str, Any], {"a": 1}),
        ("{a: 1}", dict | str | None, {"a": 1}),
        ("path.json", dict | str | None, "path.json"),
        ("cosine", SchedulerType | str, "cosine"),
        ("12", str | None, "12"),
        ("12", int | str | None, 12),
        (False, str | None | Literal[False], False),
        ("x", Any, "x"),
    ],
)
def test_fits(value: Any, hint: Any, expected: Any) -> None:
    result = coerce(value, hint)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        ("fast", float, "a number"),
        (1.5, int, "a whole number"),
        ("1.5", int, "a whole number"),
        (True, int, "a whole number"),
        (True, float, "a number"),
        (3, str, "a text"),
        ("maybe", bool, "true or false"),
        (1, bool | None, "null or true or false"),
        ("x", dict[str, Any], "a mapping"),
        ("{a: [", dict[str, Any], "a mapping"),
        (["x"], list[float], "a list"),
        ("cosin", SchedulerType | str, "one of linear, cosine"),
        (None, int, "a whole number"),
        (float("nan"), float, "a number"),
        ("nan", float | None, "null or a number"),
        (10**400, float, "a number"),
        ("9" * 400, int, "a whole number of at most 64 bits"),
        (2**63, int, "a whole number of at most 64 bits"),
        ([1], SchedulerType | str, "one of linear, cosine"),
        ({"a": 1}, Literal["a"], "'a'"),
        (float("inf"), int, "a whole number"),
    ],
)
def test_misfits_say_what_would_fit(value: Any, hint: Any, words: str) -> None:
    with pytest.raises(Misfit, match=words):
        coerce(value, hint)


@given(st.floats(allow_nan=False) | st.integers(-(10**6), 10**6))
def test_numbers_survive_the_command_line(value: float) -> None:
    assert coerce(str(value), type(value)) == value
    assert coerce(str(value), float | None) == float(value)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("1e-6", float, 1e-6),
        (3, float, 3),
        (3, float | None, 3),
        ("null", str | None, "null"),
        ([1, "2e-6"], list[float], [1, 2e-6]),
        ({"a": None, "b": 2}, dict[str, int | None], {"a": None, "b": 2}),
        ({"a": {"b": "x"}}, dict[str, dict[str, Any]], {"a": {"b": "x"}}),
        (3, int | list[int], 3),
        ([0, 1], int | list[int], [0, 1]),
        (["a"], tuple[str, ...], ("a",)),
        (("a", "b"), tuple[str, ...], ("a", "b")),
        ({"a": "b"}, str | Mapping[str, str] | None, {"a": "b"}),
        (Path("a"), str | Path | None, Path("a")),
        ("a", str | Path | Mapping[str, str | Path] | None, "a"),
        (2**63 - 1, int, 2**63 - 1),
        (float("inf"), float, float("inf")),
    ],
)
def test_fits_as_written(value: Any, hint: Any, expected: Any) -> None:
    result = coerce(value, hint, as_written=True)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        ("3", int, "a whole number"),
        ("3", int | list[int], "a whole number or a list of whole numbers"),
        ("true", bool, "true or false"),
        ("a", list[str], "a list of texts"),
        ("{a: 1}", dict[str, Any], "a mapping"),
        (True, int, "a whole number"),
        (True, float, "a number"),
        ("fast", float | None, "null or a number"),
        (["x"], list[float], "a list of numbers"),
        ({1: 2}, dict[str, Any], "a mapping"),
        ({"a": 1}, dict[str, dict[str, Any]], "a mapping, each value a mapping"),
        ({"a": "1"}, dict[str, int | None], "a mapping, each value null or a whole number"),
        (None, dict[str, Any], "a mapping"),
        ("a", tuple[str, ...], "a list of texts"),
        ([1], tuple[str, ...], "a list of texts"),
        ({"a": 1}, str | Mapping[str, str], "a mapping, each value a text or a text"),
        (3, str | Path | None, "a Path or null or a text"),
        (2**63, float, "a number"),
        (-(2**63) - 1, int | None, "null or a whole number of at most 64 bits"),
    ],
)
def test_misfits_as_written(value: Any, hint: Any, words: str) -> None:
    with pytest.raises(Misfit) as caught:
        coerce(value, hint, as_written=True)
    assert str(caught.value) == words
