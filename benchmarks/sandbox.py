"""Programs judged a second: warm sandboxes against a plain subprocess for every test.

    python benchmarks/sandbox.py --output benchmarks/sandbox.md

Three kinds of work, each with all ways of running it in turn within a round, so that a busy machine
slows them alike; the ratios are medians over rounds. The plain subprocess has no isolation, no
warm interpreter and no caps: it is what a harness without a sandbox would do.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scgrpo.tasks.code.judge import FunctionProblem, InputOutput, Problem, ScriptProblem, judge
from scgrpo.tasks.code.prelude import LIVECODEBENCH
from scgrpo.tasks.sandbox import Limits, SandboxPool
from scgrpo.tasks.sandbox.backends import Backend, BubblewrapBackend, SubprocessBackend
from scgrpo.tasks.sandbox.probe import find_isolation

SCRIPT = "import sys\nprint(sum(map(int, sys.stdin.read().split())))\n"
FUNCTION = "def f(numbers):\n    return sum(numbers)\n"
PLAIN_FUNCTION = "import json, sys\n" + FUNCTION + "print(json.dumps(f(json.loads(input()))))\n"


def numbers(count: int) -> list[list[int]]:
    """Inputs of so many tests."""
    return [list(range(n, n + 20)) for n in range(count)]


def script(tests: int) -> ScriptProblem:
    """A script with so many tests."""
    cases = [InputOutput(" ".join(map(str, x)), str(sum(x))) for x in numbers(tests)]
    return ScriptProblem(tuple(cases), LIVECODEBENCH)


def function(tests: int) -> FunctionProblem:
    """A function with so many tests."""
    cases = [InputOutput(str(x), str(sum(x))) for x in numbers(tests)]
    return FunctionProblem("f", tuple(cases), LIVECODEBENCH)


WORK: dict[str, tuple[Problem, str, str]] = {
    "script, 1 test": (script(1), SCRIPT, SCRIPT),
    "script, 20 tests": (script(20), SCRIPT, SCRIPT),
    "function, 20 tests": (function(20), FUNCTION, PLAIN_FUNCTION),
}
"""Name -> problem, program, and the program as the plain subprocess runs it."""


def judge_plainly(problem: Problem, program: str) -> bool:
    """A fresh interpreter for every test, without isolation."""
    assert not hasattr(problem, "code")
    for case in problem.tests:  # type: ignore[union-attr]
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LIVECODEBENCH + program],
            input=case.input, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode or done.stdout.strip() != case.output:
            return False
    return True


def rate(one: Callable[[], bool], programs: int, workers: int) -> float:
    """Programs a second."""
    started = time.perf_counter()
    with ThreadPoolExecutor(workers) as threads:
        assert all(threads.map(lambda _: one(), range(programs)))
    return programs / (time.perf_counter() - started)


def sandboxed_rate(
    backend: Backend, problem: Problem, program: str, programs: int, workers: int
) -> float:
    """The same with sandboxes; filling the store of warm ones is timed too."""
    started = time.perf_counter()
    pool = SandboxPool(backend, Limits(), warm=workers + 1)
    rate(lambda: judge(pool, problem, program).solved, programs, workers)
    seconds = time.perf_counter() - started
    pool.close()
    return programs / seconds


def measure(name: str, programs: int, rounds: int, workers: int) -> dict[str, list[float]]:
    """Rates of all ways of running one kind of work."""
    problem, program, plain = WORK[name]
    isolation = find_isolation()
    backends: dict[str, Backend] = {
        "bubblewrap + seccomp": BubblewrapBackend(isolation),
        "bubblewrap": BubblewrapBackend(isolation, seccomp=False),
        "sandbox=subprocess": SubprocessBackend(),
    }
    rates: dict[str, list[float]] = {"plain subprocess": []} | {way: [] for way in backends}
    for _ in range(rounds):
        rates["plain subprocess"].append(
            rate(lambda: judge_plainly(problem, plain), programs, workers)
        )
        for way, backend in backends.items():
            rates[way].append(sandboxed_rate(backend, problem, program, programs, workers))
    return rates


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """The results as Markdown."""
    lines = ["| work | way | programs/s (median, range) | ratio to plain |", "|---|---|---|---|"]
    for work, rates in results.items():
        plain = rates["plain subprocess"]
        for way, values in rates.items():
            ratio = statistics.median(v / p for v, p in zip(values, plain, strict=True))
            span = f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
            lines.append(f"| {work} | {way} | {span} | {ratio:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = {
        name: measure(name, arguments.programs, arguments.rounds, arguments.workers)
        for name in WORK
    }
    load = os.getloadavg()[0]
    text = (
        f"{table(results)}\n\n{arguments.rounds} rounds of {arguments.programs} programs, "
        f"{arguments.workers} at a time, on {os.cpu_count()} cores ({platform.machine()}, Linux "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}); load of the "
        f"machine at the end: {load:.1f}."
    )
    print(text)
    if arguments.output:
        command = "python benchmarks/sandbox.py --output benchmarks/sandbox.md"
        head = f"# Programs judged a second\n\n`{command}`\n\n"
        arguments.output.write_text(f"{head}{text}\n")


if __name__ == "__main__":
    main()
