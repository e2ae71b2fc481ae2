"""LiveCodeBench's tests: how they are packed, and how they are divided."""

import base64
import hashlib
import io
import json
import pickle
import zlib
from collections.abc import Sequence
from typing import Any

from scgrpo.tasks.code.judge import InputOutput

LONGEST = 1 << 30
"""Bytes that packed tests may unpack to."""


class _OnlyText(pickle.Unpickler):
    """Reads pickles of built-in values: a pickle that names a class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise ValueError(f"the pickle of the private tests names {module}.{name}")


def unpack(text: str) -> list[InputOutput]:
    """The tests of a JSON text, or of base64 of zlib of a pickled JSON text.

    Raises:
        ValueError: for anything else.
    """
    if not text.lstrip().startswith("["):
        text = _unpickle(text)
    tests = json.loads(text)
    return [InputOutput(str(test["input"]), str(test["output"])) for test in tests]


def _unpickle(text: str) -> str:
    try:
        reader = zlib.decompressobj()
        content = reader.decompress(base64.b64decode(text, validate=True), LONGEST)
        if not reader.eof:
            raise ValueError(f"they unpack to more than {LONGEST} bytes, or are cut")
        value = _OnlyText(io.BytesIO(content)).load()
    except ValueError:
        raise
    except Exception as error:  # unpickling garbage raises nearly anything
        raise ValueError(f"private tests cannot be unpacked: {error}") from error
    if not isinstance(value, str):
        raise ValueError(f"private tests are a pickled {type(value).__name__}, not a text")
    return value


def distinct(tests: Sequence[InputOutput]) -> list[InputOutput]:
    """The tests without those whose input stood before: public ones often stand twice."""
    by_input: dict[str, InputOutput] = {}
    for test in tests:
        by_input.setdefault(test.input.strip(), test)
    return list(by_input.values())


def halves(
    tests: Sequence[InputOutput], problem_id: str, seed: int
) -> tuple[tuple[InputOutput, ...], tuple[InputOutput, ...]]:
    """Tests for training, and tests for evaluation.

    The draw depends on the seed, the problem and the tests themselves: not on the order in which
    problems or tests stand. Of an odd number, evaluation has one more.

    Args:
        tests: distinct tests of one problem.
        problem_id: the problem.
        seed: of the draw.
    """

    def rank(test: InputOutput) -> bytes:
        key = json.dumps([seed, problem_id, test.input.strip()])
        return hashlib.sha256(key.encode()).digest()

    ordered = sorted(tests, key=rank)
    half = len(ordered) // 2
    return tuple(ordered[:half]), tuple(ordered[half:])
