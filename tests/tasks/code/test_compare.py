"""Comparison of outputs and values, case by case."""

from typing import Any

import pytest

from scgrpo.tasks.code.compare import same_output, same_value


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ("6\n", "6", True),
        ("6", "7", False),
        ("", "", True),
        ("", "6", False),
        ("\n\n 6 \n\n", "6\n", True),  # around the whole
        ("1 \n 2\t\n", "1\n2", True),  # around a line
        ("1\n\n2", "1\n2", False),  # an empty line within
        ("1 2\n3", "1\n2 3", False),  # line breaks count
        ("1\n2\n3", "1\n2", False),
        ("1  2", "1 2", True),  # numbers are compared one by one
        ("a  b", "a b", False),  # other words as a line
        ("YES", "yes", False),
        ("1.0", "1", True),
        ("1.50 2", "1.5 2.0", True),
        ("1e3", "1000", True),
        ("0.1", "0.10000000000000001", False),  # exactly, or not at all
        ("50000000000000000", "50000000000000001", False),
        ("-0", "0", True),
        ("007", "7", True),
        ("nan", "nan", True),  # the same line
        ("nan 1", "nan 1.0", True),
        ("nan 1", "1 1", False),
        ("sNaN", "1", False),
        ("Infinity", "1e999999", False),
        ("1" * 100_000, "2" * 100_000, False),
        ("1\r\n2\r\n", "1\n2\n", True),
        ("x 1.0", "x 1", False),  # not all words are numbers
    ],
)
def test_output_by_lines(actual: str, expected: str, same: bool) -> None:
    assert same_output(actual, expected) is same


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ("1 2\n3", "1\n2 3", True),
        ("a\n\nb", "a b", True),
        ("a b c", "a b", False),
        ("YES", "yes", False),
        ("x 1.0000001", "x 1.0", True),
        ("1.00001", "1.0", False),
        ("1000000.5", "1e6", True),  # relative
        ("1000010", "1e6", False),
        ("0.0000005", "0.0", True),  # absolute
        ("1000000", "1000001", False),  # whole numbers are exact
        ("1.0000001", "1", False),
        ("nan", "1.0", False),
        ("inf", "1.0", False),
        ("1.0", "inf", False),
        ("inf", "inf", True),
        ("1e999999999999", "1.0", False),
        ("1_0.0", "10.0", True),
    ],
)
def test_output_by_words_with_tolerance(actual: str, expected: str, same: bool) -> None:
    assert same_output(actual, expected, by_lines=False, tolerance=1e-6) is same


def test_many_lines() -> None:
    expected = "\n".join(f"{n}.0" for n in range(100_000))
    assert same_output("\n".join(map(str, range(100_000))), expected)
    assert not same_output("\n".join(map(str, range(1, 100_001))), expected)
    assert not same_output(expected + "\n1", expected)


@pytest.mark.parametrize(
    ("tree", "expected", "same"),
    [
        (3, 3, True),
        (3.0, 3, True),
        (True, True, True),
        (True, 1, True),  # as Python has it
        ("3", 3, False),
        (None, None, True),
        (None, False, False),
        ([1, [2, "a"]], [1, [2, "a"]], True),
        ({"tuple": [1, 2]}, [1, 2], True),  # a tuple on top
        ([{"tuple": [1, 2]}], [[1, 2]], False),  # but not within
        ({"set": [1]}, [1], False),
        ({"dict": [["a", 1], ["b", [2]]]}, {"b": [2], "a": 1}, True),
        ({"dict": [["a", 1]]}, {"a": 2}, False),
        ({"dict": [[1, 1]]}, {"1": 1}, False),
        ({"dict": [["a", 1], ["a", 2]]}, {"a": 2}, True),
        ({"ref": 0}, 0, False),
        ({"ref": 0}, None, False),
        ({"dict": 7}, {}, False),
        ({"dict": [[["a"], 1]]}, {"a": 1}, False),
        ({"a": 1}, {"a": 1}, False),  # not a tree that anybody sends
        ([1, 2], [1, 2, 3], False),
        (0.1 + 0.2, 0.3, False),
        (float("nan"), float("nan"), False),
        ([], {}, False),
    ],
)
def test_values(tree: Any, expected: Any, same: bool) -> None:
    assert same_value(tree, expected) is same
