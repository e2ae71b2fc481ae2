"""Which code of a row the program is asked for, and which the checker has of its own."""

from pathlib import Path

import pytest

from scgrpo.tasks.code.mbpp import MBPPTask, split_names
from tests.tasks.code import rows


@pytest.mark.parametrize(
    ("tests", "solution", "names", "imports"),
    [
        ("assert f(1) == 2", "def g(): pass\ndef f(x): return x", ("f",), ()),
        ("assert math.floor(f(1)) == 2", "f = lambda x: x", ("f",), ("import math",)),
        ("assert m.floor(f(1)) == pi", "import math as m\nfrom math import pi\ndef f(x): pass",
         ("f",), ("import math as m", "from math import pi")),
        ("assert sqrt(f(1)) == 2", "from math import *\ndef f(x): pass", ("f",),
         ("from math import *",)),
        # A solution that takes the name of a built-in function is what the tests mean.
        ("assert sum(10, 15) == 6", "def sum(a, b): return 6", ("sum",), ()),
        ("assert f(Pair(1)) == len('a')", "if True:\n    class Pair: pass\ndef f(x): y = x",
         ("Pair", "f"), ()),
        ("from math import *\nassert f(pi)", "def f(x): pass", ("f",), ()),
    ],
)  # fmt: skip
def test_names_that_are_asked_of_a_program(
    tests: str, solution: str, names: tuple[str, ...], imports: tuple[str, ...]
) -> None:
    assert split_names(tests, solution) == (names, imports)


@pytest.mark.usefixtures("filtered")
def test_row_whose_tests_use_what_is_nowhere(tmp_path: Path) -> None:
    row = rows.MBPP[0] | {"test_list": ["assert add(1, y) == 3"]}
    task = MBPPTask(data=rows.write(tmp_path / "mbpp.jsonl", [row]))
    with pytest.raises(ValueError, match="mbpp/901 cannot be used: its tests use y, which its sol"):
        task.problem(row, "test")
    program = "```python\ny = 2\ndef add(a, b): return 3\n```"
    assert task.verify([program], problem_id=["mbpp/901"], tests=["test"]) == [0.0]
    task.close()
    assert task.failures == {"error": 1}
