"""Which micro-batches of a generation batch share one threshold c."""

import pytest

from scgrpo.config import Method
from scgrpo.credit.weight import TokenWeight
from scgrpo.world import OneProcess


@pytest.mark.parametrize(
    ("micro_batches", "per_step", "position", "expected"),
    [
        ("abcd", 4, 0, ["abcd"]),
        ("abcd", 2, 0, ["ab", "cd"]),
        ("abcd", 1, 0, ["a", "b", "c", "d"]),
        ("ab", 4, 0, ["ab"]),  # the first of two generation batches of a step
        ("ab", 4, 2, ["ab"]),  # and the second
        ("abcd", 3, 0, ["abc", "d"]),
        ("abcd", 3, 1, ["ab", "cd"]),
        ("abcd", 3, 2, ["a", "bcd"]),
        ("ab", 3, 2, ["a", "b"]),
        ("a", 3, 1, ["a"]),
    ],
)
def test_windows_are_what_a_step_has_of_the_generation_batch(
    micro_batches, per_step, position, expected
):
    use = TokenWeight(Method(), OneProcess(), None, None)
    assert list(use.windows(micro_batches, per_step, position)) == expected


def test_each_micro_batch_by_itself():
    use = TokenWeight(Method(threshold_scope="micro_batch"), OneProcess(), None, None)
    assert list(use.windows("abc", 2, 1)) == ["a", "b", "c"]
