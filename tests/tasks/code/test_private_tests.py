"""LiveCodeBench's tests: unpacked safely, divided once and for all."""

import base64
import json
import os
import pickle
import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgrpo.tasks.code.judge import InputOutput
from scgrpo.tasks.code.private_tests import distinct, halves, unpack

ROWS = [{"input": "1\n", "output": "2\n", "testtype": "stdin"}, {"input": "", "output": ""}]
TESTS = [InputOutput("1\n", "2\n"), InputOutput("", "")]


def packed(value: Any) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def test_both_forms() -> None:
    assert unpack(json.dumps(ROWS)) == TESTS
    assert unpack(packed(json.dumps(ROWS))) == TESTS


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/scgrpo-unpickled",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (packed(Evil()), "names posix.system"),
        (packed(["x"]), "pickled list"),
        (packed(b"[]"), "names _codecs.encode|pickled bytes"),
        (packed("no json"), "Expecting value"),
        ("!!!", "base64|padding"),
        (base64.b64encode(b"abc").decode(), "unpacked"),
        (base64.b64encode(zlib.compress(b"abc")).decode(), "unpacked"),
        (base64.b64encode(zlib.compress(pickle.dumps("[]" * 99))[:20]).decode(), "are cut"),
    ],
)
def test_anything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        unpack(text)
    assert not os.path.exists("/tmp/scgrpo-unpickled")


def test_the_same_test_counts_once() -> None:
    """Public tests stand among the private ones again, often with another line end."""
    tests = [InputOutput("1\n", "2\n"), InputOutput("1", "2"), InputOutput("2", "2")]
    assert distinct(tests) == [tests[0], tests[2]]


@given(st.sets(st.integers(), max_size=30), st.integers(), st.text(max_size=5))
def test_halves_are_disjoint_whole_and_stable(numbers: set[int], seed: int, name: str) -> None:
    tests = [InputOutput(f"{n}\n", str(n)) for n in numbers]
    training, evaluation = halves(tests, name, seed)
    assert not {t.input for t in training} & {t.input for t in evaluation}
    assert sorted((*training, *evaluation), key=str) == sorted(tests, key=str)
    assert len(evaluation) - len(training) in (0, 1)
    shuffled = random.Random(0).sample(tests, len(tests))
    assert halves(shuffled, name, seed) == (training, evaluation)


def test_seed_and_problem_draw_other_halves() -> None:
    tests = [InputOutput(str(n), "") for n in range(20)]
    draws = {halves(tests, name, seed)[0] for name in ("a", "b") for seed in (0, 1)}
    assert len(draws) == 4
