"""YAML as people write it: what is read, and what is refused with its line."""

from typing import Any

import pytest

from scgrpo.mistakes import ConfigError
from scgrpo.written.yaml_text import (
    DEEPEST,
    MOST_CHARACTERS,
    MOST_VALUES,
    can_be_written,
    read_yaml,
)

LINE = r"x\.yaml, line {} is no valid YAML: {}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("a: 1\nb: [x, 1.5, true, null, 'y']", {"a": 1, "b": ["x", 1.5, True, None, "y"]}),
        ("a: 2001-01-01", {"a": "2001-01-01"}),
        ("a: 2001-99-99", {"a": "2001-99-99"}),
        ("a: !!str 5", {"a": "5"}),
        ("a: .inf", {"a": float("inf")}),
        ("a: 9223372036854775807\nb: -9223372036854775808", {"a": 2**63 - 1, "b": -(2**63)}),
        ("a: &a {k: 1}\nb: {<<: *a, c: 2}\nd: {<<: *a, k: 3}",
         {"a": {"k": 1}, "b": {"k": 1, "c": 2}, "d": {"k": 3}}),
        ("x: {y: &a {<<: {k: 2}, k: 2}}\nz: {<<: *a}", {"x": {"y": {"k": 2}}, "z": {"k": 2}}),
        ("a: &a [1]\nb: [*a, *a]", {"a": [1], "b": [[1], [1]]}),
        ("\ufeffa: é", {"a": "é"}),
    ],
)  # fmt: skip
def test_what_is_read(text: str, expected: Any) -> None:
    assert read_yaml(text, "x.yaml") == expected


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: !!timestamp x", 2, "'!!timestamp' is no kind of value that is read here"),
        ("a: !!python/object/apply:os.system [ls]", 1, "'!!python/object/apply:os.system' is no"),
        ("a: !!set {b}", 1, "'!!set' is no kind"),
        ("a: !own b", 1, "'!own' is no kind"),
        ("a: =", 1, "'!!value' is no kind"),
        ("a: !!bool maybe", 1, "'maybe' is neither true nor false"),
        ("a: !!int x", 1, "'x' is no whole number"),
        ("a: 0x_", 1, "'0x_' is no whole number"),
        ("a: !!float ''", 1, "'' is no number"),
        ("a: 1\nb: " + "1" * 5000, 2, r"'1{59} \.\.\. is no whole number of at most 64 bits"),
        ("a: 9223372036854775808", 1, "'9223372036854775808' is no whole number of at most 64"),
        ('a: "b\\0c"', 1, r"'b\\x00c' is no text that a file can hold"),
        ('a: "\\ud800"', 1, ".* is no text that a file can hold"),
        ('a: 1\nb: 2\n"c\\0": 3', 3, ".* is no text that a file can hold"),
        ("a: 1\nb: c\x00", 2, "it holds the control character 0x00"),
        ("a: 1\nb: {a: 1, c: 2, a: 3}", 2, "the key 'a' stands twice in one mapping"),
        ("a: 1\na: 1", 2, "the key 'a' stands twice"),
        ("a: &b [*b]", 1, r"\*b is part of itself"),
        ("a:\n  c: &b {d: [*b]}", 2, r"\*b is part of itself"),
        ("a: &b {<<: *b}", 1, r"\*b is part of itself"),
        ("a: " + "[" * 3000, 1, f"values are nested more than {DEEPEST} deep"),
        ("a: " + "{b: " * 3000, 1, "values are nested more than"),
        ("- " * 3000, 1, "values are nested more than"),
        ("? " * 3000, 1, "values are nested more than"),
        ("{[a]: 1}", 1, "found unhashable key"),
        ("a: 1\n---\nb: 1", 2, "but found another document"),
        ("a: *b", 1, "found undefined alias 'b'"),
        ("a: [1\nb: 2", 2, "expected ',' or '\\]'"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=LINE.format(line, problem)) as caught:
        read_yaml(text, "x.yaml")
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"', "%YAML " + "9" * 5000 + ".1\n---\na: 1"])
def test_escapes_and_versions_that_there_are_not(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.yaml is no valid YAML: "):
        read_yaml(text, "x.yaml")


def test_aliases_count_as_what_they_repeat() -> None:
    bomb = "- &b [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"- &{one} [{', '.join([f'*{other}'] * 10)}]\n"
        for one, other in zip("cdefghijk", "bcdefghij", strict=True)
    )
    with pytest.raises(ConfigError, match=f"it holds more than {MOST_VALUES} values"):
        read_yaml(bomb, "x.yaml")
    assert len(read_yaml(f"[{', '.join('1' * (MOST_VALUES - 1))}]", "x")) == MOST_VALUES - 1
    with pytest.raises(ConfigError, match="it holds more than"):
        read_yaml(f"[{', '.join('1' * MOST_VALUES)}]", "x")
    halves = "- &a [1, 1, 1]\n" + "- *a\n" * (MOST_VALUES // 4)
    with pytest.raises(ConfigError, match="it holds more than"):
        read_yaml(halves, "x")


def test_depth_is_bounded_exactly() -> None:
    read_yaml("[" * DEEPEST + "]" * DEEPEST, "x")
    with pytest.raises(ConfigError, match="nested more than"):
        read_yaml("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "x")


def test_a_text_that_is_too_long_is_not_read() -> None:
    with pytest.raises(ConfigError, match=f"x has {MOST_CHARACTERS + 1} characters; at most"):
        read_yaml("a" * (MOST_CHARACTERS + 1), "x")


def test_what_files_can_hold() -> None:
    assert can_be_written("é\n") and can_be_written("")
    assert not can_be_written("a\0") and not can_be_written("\udcff")
