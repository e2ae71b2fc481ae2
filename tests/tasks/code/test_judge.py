"""What ends a program, whatever kind of problem it is for."""

import pytest

from scgrpo.tasks.code.judge import (
    CheckedProblem,
    FunctionProblem,
    InputOutput,
    Problem,
    ScriptProblem,
    judge,
)
from scgrpo.tasks.code.sandbox import SandboxPool, TestCode

TESTS = (InputOutput("1", "1"), InputOutput("2", "2"))
PROBLEMS: dict[str, Problem] = {
    "script": ScriptProblem(TESTS, cpu_seconds=1),
    "function": FunctionProblem("f", TESTS, cpu_seconds=1),
    "checked": CheckedProblem(
        TestCode(("assert f(1) == 1", "assert f(2) == 2"), ("f",)), cpu_seconds=1
    ),
}
PROGRAM = """
import resource, signal, time
def f(n):
    end = time.process_time() + SECONDS
    while time.process_time() < end: pass
    return n
if __name__ == "__main__":
    print(f(int(input())))
"""
IGNORES = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"
RAISES = """
import resource
hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
"""


@pytest.mark.parametrize("kind", PROBLEMS)
def test_processor_time_is_measured_outside(filtered: SandboxPool, kind: str) -> None:
    problem = PROBLEMS[kind]
    assert judge(filtered, problem, IGNORES + PROGRAM.replace("SECONDS", "0.1")).solved
    for evasion in (IGNORES, *([] if kind == "script" else [RAISES])):
        source = evasion + PROGRAM.replace("SECONDS", "1.8")
        verdict = judge(filtered, problem, source)
        assert verdict.why == "time" and not any(verdict.passed)


def test_a_call_that_is_late_costs_its_test_only(filtered: SandboxPool) -> None:
    source = IGNORES + PROGRAM.replace("SECONDS", "(1.8 if n == 1 else 0)")
    verdict = judge(filtered, PROBLEMS["function"], source, stop_early=False)
    assert verdict.passed == (False, True) and verdict.why == "time"
