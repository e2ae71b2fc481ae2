"""Calling a program's functions, and test code that uses what it defines."""

import pytest

from scgrpo.tasks.sandbox import (
    LoadedProgram,
    ProgramEnded,
    Raised,
    SandboxPool,
    TestCode,
    TestResults,
    run_tests,
)
from scgrpo.tasks.sandbox.functions import BrokenTests


def results(
    pool: SandboxPool, source: str, code: TestCode, *, stop_early: bool = False
) -> TestResults:
    with pool.sandbox() as sandbox, pool.sandbox() as checker:
        program = LoadedProgram(sandbox, source)
        return run_tests(checker, program, code, seconds=20, stop_early=stop_early)


def test_calls(filtered: SandboxPool) -> None:
    source = (
        "import math\ncalls = []\ndef f(x, y=1):\n    calls.append(x)\n    return math.sqrt(x), y"
    )
    with filtered.sandbox() as sandbox:
        program = LoadedProgram(sandbox, source)
        f = program.name("f")
        assert list(f) == ["ref"]
        assert program.call(f, [4]) == {"tuple": [2.0, 1]}
        with pytest.raises(Raised, match="ValueError: math domain error"):
            program.call(f, [-1])
        assert program.name("calls") == [4, -1]
        with pytest.raises(Raised, match="NameError: the program defines no g"):
            program.name("g")


def test_program_that_fails_when_loaded(filtered: SandboxPool) -> None:
    for source, words in (("1 / 0", "ZeroDivisionError"), ("def (", "SyntaxError")):
        with filtered.sandbox() as sandbox, pytest.raises(Raised, match=words):
            LoadedProgram(sandbox, source)


def test_main_block_is_not_run_when_loaded(filtered: SandboxPool) -> None:
    with filtered.sandbox() as sandbox:
        source = "x = __name__\nif __name__ == '__main__': 1 / 0"
        assert LoadedProgram(sandbox, source).name("x") == "program"


def test_tests_use_objects_of_the_program(filtered: SandboxPool) -> None:
    """As MBPP's do: classes of the program, attributes, lists of its objects."""
    source = """
class Node:
    def __init__(self, value):
        self.value, self.left = value, None
    def __eq__(self, other): return True
def depth(node): return 0 if node is None else 1 + depth(node.left)
def values(nodes): return [node.value for node in nodes]
def make(n): return (Node(i) for i in range(n))
def fail(): raise KeyError('k')
limit = 3
"""
    code = TestCode(
        tests=(
            "root = Node(1)\nroot.left = Node(2)\nassert depth(root) == 2",
            "assert values([Node(5), Node(6)]) == [5, 6] and values((Node(7),)) == [7]",
            "assert [n.value for n in make(3)] == [0, 1, 2]",
            "assert limit == 3 and root.left.value == 2",
            "assert Node(1) == Node(1)",
            "assert root == 1 or root == root.left",
            "try:\n    fail()\nexcept KeyError:\n    pass",
            "assert depth(Node) == 1",
            "assert len(root) == 1",
        ),
        names=("Node", "depth", "values", "make", "fail", "limit"),
    )
    passed = results(filtered, source, code).passed
    # No object of the program equals another, whatever its __eq__ says.
    assert passed == (True, True, True, True, False, False, True, False, False)
    early = results(filtered, source, TestCode(("assert 0", "assert 1"), ()), stop_early=True)
    assert early == TestResults((False, False), "AssertionError: ")


def test_arguments_are_copies(filtered: SandboxPool) -> None:
    source = "def f(x):\n    x.append(0)\n    return x"
    code = TestCode(("x = [1]\nassert f(x) == [1, 0] and x == [1]",), ("f",))
    assert results(filtered, source, code).passed == (True,)


def test_helpers_and_setup(filtered: SandboxPool) -> None:
    code = TestCode(
        ("assert f(helper(1)) == 3 == made",),
        ("f",),
        helpers="def helper(x): return x + 1\ndef f(x): raise ValueError",
        setup="made = f(2)",
    )
    assert results(filtered, "def f(x): return x + 1", code).passed == (True,)
    missing = results(filtered, "g = 1", code)
    assert missing.passed == (False,) and "defines no f" in missing.why
    with pytest.raises(BrokenTests, match="ZeroDivisionError"):
        results(filtered, "f = 1", TestCode(("f",), ("f",), helpers="1 / 0"))


def test_what_a_test_passes_must_be_plain(filtered: SandboxPool) -> None:
    code = TestCode(("assert f(lambda: 1) == 1",), ("f",))
    assert "cannot leave its interpreter" in results(filtered, "def f(g): return g()", code).why


def test_checker_is_used_again_and_remembers_nothing(unfiltered: SandboxPool) -> None:
    """Test code leaves no trace for that of the next problem."""
    trace = """
import builtins, os, sys
assert not hasattr(builtins, 'trace') and 'trace' not in sys.modules and 'trace' not in globals()
assert os.listdir('/tmp') == [] and len([p for p in os.listdir('/proc') if p.isdigit()]) == 3
builtins.trace = sys.modules['trace'] = trace = os
open('/tmp/trace', 'w').write('x')
if os.fork() == 0:
    while True: pass
assert f(1) == 2
"""
    seen = []
    for _ in range(3):
        with unfiltered.sandbox() as sandbox, unfiltered.checker() as checker:
            program = LoadedProgram(sandbox, "def f(x): return x + 1")
            code = TestCode((trace,), ("f",))
            assert run_tests(checker, program, code, seconds=20, stop_early=True).passed == (True,)
            seen.append(checker)
    assert seen[0] is seen[1] is seen[2]


def test_checker_that_failed_is_not_used_again(filtered: SandboxPool) -> None:
    def check(program: str, test: str, seconds: float = 20) -> object:
        with filtered.sandbox() as sandbox, filtered.checker() as checker:
            kept.append(checker)
            loaded = LoadedProgram(sandbox, program)
            code = TestCode((test,), ("f",))
            return run_tests(checker, loaded, code, seconds=seconds, stop_early=True)

    kept: list[object] = []
    with pytest.raises(ProgramEnded):
        check("import os\ndef f(): os._exit(0)", "f()")
    with pytest.raises(ProgramEnded):
        check("f = 1", "while True: pass", seconds=0.3)
    with pytest.raises(BrokenTests, match="end their interpreter"):
        check("f = 1", "import os\nos._exit(3)")
    check("f = 1", "assert f == 1")
    check("f = 1", "assert f == 1")
    assert len({id(checker) for checker in kept[:4]}) == 4 and kept[3] is kept[4]
