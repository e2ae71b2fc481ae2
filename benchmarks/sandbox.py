"""Programs judged a second: warm sandboxes against a plain subprocess for every test.

    python benchmarks/sandbox.py --output benchmarks/sandbox.md
    python benchmarks/sandbox.py --against OLD/src --output benchmarks/sandbox_before.md

Three kinds of work, each with all ways of running it in turn within a round, so that a busy machine
slows them alike; the ratios are medians over rounds. The plain subprocess has no isolation, no
warm interpreter and no caps: it is what a harness without a sandbox would do. With `--against`, the
sandbox of another checkout runs in turn with this one, each in a process of its own. Its processor
time is that of this process, bubblewrap, the drivers and what they started.
"""

import argparse
import json
import os
import platform
import resource
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
from scgrpo.tasks.sandbox.process import Sandbox, _used_by

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
    "script with os, 20 tests": (script(20), "import os\n" + SCRIPT, "import os\n" + SCRIPT),
    "function, 20 tests": (function(20), FUNCTION, PLAIN_FUNCTION),
}
"""Name -> problem, program, and the program as the plain subprocess runs it.

A script that imports `os` may leave something in its interpreter, so no two tests share one."""


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


def once(name: str, programs: int, workers: int) -> tuple[float, float]:
    """Seconds on the clock and of processor time for one kind of work, in this process."""
    problem, program, _ = WORK[name]
    used, close = [], Sandbox.close

    def count_and_close(sandbox: Sandbox) -> None:
        if not sandbox._is_closed:
            used.append(_used_inside(sandbox._driver))
        close(sandbox)

    Sandbox.close = count_and_close  # type: ignore[method-assign]
    pool = SandboxPool(BubblewrapBackend(find_isolation()), Limits(), warm=workers + 1)
    before, started = _used_here(), time.perf_counter()
    rate(lambda: judge(pool, problem, program).solved, programs, workers)
    pool.close()
    return time.perf_counter() - started, _used_here() - before + sum(used)


def _used_here() -> float:
    times = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(t.ru_utime + t.ru_stime for t in times)


def _used_inside(driver: int) -> float:
    """Of a sandbox's driver and its children, which end with their namespace, uncounted by us."""
    if not driver:  # it was started, but nobody has asked for it yet
        return 0.0
    children = Path(f"/proc/{driver}/task/{driver}/children").read_text().split()
    return sum(map(_used_by, (driver, *map(int, children))))


def against(other: Path, programs: int, rounds: int, workers: int) -> str:
    """A table of this sandbox against that of another checkout."""
    lines = ["| work | before, s | after, s | ratio | before, CPU s | after, CPU s | ratio |"]
    lines.append("|---|---|---|---|---|---|---|")
    here = Path(__file__).resolve().parents[1] / "src"
    for name in WORK:
        pairs = []
        for _ in range(rounds):
            pair = []
            for source in (other, here):
                command = [sys.executable, __file__, "--once", name, "--workers", str(workers)]
                done = subprocess.run(
                    [*command, "--programs", str(programs)], capture_output=True, text=True,
                    check=True, env=os.environ | {"PYTHONPATH": str(source)},
                )  # fmt: skip
                pair.append(json.loads(done.stdout))
            pairs.append(pair)
        cells = [name]
        for kind in (0, 1):
            before, after = ([pair[n][kind] for pair in pairs] for n in (0, 1))
            ratio = statistics.median(b / a for b, a in zip(before, after, strict=True))
            cells += [f"{statistics.median(v):.2f}" for v in (before, after)] + [f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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
    parser.add_argument("--against", type=Path, help="src folder of another checkout")
    parser.add_argument("--once", choices=WORK, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(once(arguments.once, arguments.programs, arguments.workers)))
        return
    if arguments.against:
        text = against(arguments.against, arguments.programs, arguments.rounds, arguments.workers)
        _tell(text, arguments, "--against OLD/src")
        return
    results = {
        name: measure(name, arguments.programs, arguments.rounds, arguments.workers)
        for name in WORK
    }
    _tell(table(results), arguments)


def _tell(text: str, arguments: argparse.Namespace, options: str = "") -> None:
    load = os.getloadavg()[0]
    text += (
        f"\n\n{arguments.rounds} rounds of {arguments.programs} programs, {arguments.workers} at a "
        f"time, on {os.cpu_count()} cores ({platform.machine()}, Linux "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}); load of the "
        f"machine at the end: {load:.1f}."
    )
    print(text)
    if arguments.output:
        output = f"--output benchmarks/{arguments.output.name}"
        command = " ".join(part for part in ("benchmarks/sandbox.py", options, output) if part)
        head = f"# Programs judged a second\n\n`python {command}`\n\n"
        arguments.output.write_text(f"{head}{text}\n")


if __name__ == "__main__":
    main()
