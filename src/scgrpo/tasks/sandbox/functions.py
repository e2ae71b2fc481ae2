"""Calling a program's functions from outside, and running test code against them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scgrpo.tasks.sandbox.inside.values import Tree
from scgrpo.tasks.sandbox.process import ProgramEnded, Sandbox


class Raised(Exception):
    """The program raised; the message names what and why."""


class LoadedProgram:
    """A program that is loaded in a sandbox and whose functions can be called.

    Args:
        sandbox: a fresh one; the program has it to itself from now on.
        source: the program.
        prelude: code that runs before it, in its namespace.
        cpu_seconds: processor time of each call, in place of the sandbox's.

    Raises:
        Raised: if loading the program raises.
        ProgramEnded: if it does not end, or ends its interpreter.
    """

    def __init__(
        self, sandbox: Sandbox, source: str, prelude: str = "", cpu_seconds: float | None = None
    ) -> None:
        self._sandbox = sandbox
        self._cpu, self._wall = sandbox.times(cpu_seconds)
        self._used = sandbox.cpu_seconds()
        job = {"job": "serve", "source": source, "prelude": prelude, "cpu_seconds": self._cpu}
        _value(self.answer(job))

    def name(self, name: str) -> Tree:
        """What a name of the program stands for, such as a reference to a function."""
        return _value(self.answer({"do": "name", "name": name}))

    def attribute(self, of: Tree, name: str) -> Tree:
        """An attribute of an object."""
        return _value(self.answer({"do": "get", "of": of, "name": name}))

    def call(self, function: Tree, arguments: Sequence[Tree] = ()) -> Tree:
        """What a function returns.

        Raises:
            Raised: what it raises.
            ProgramEnded: if it does not answer in time, or ends its interpreter.
        """
        request = {"do": "call", "of": function, "arguments": list(arguments), "keywords": {}}
        return _value(self.answer(request))

    def answer(self, request: Any, deadline: float | None = None) -> Any:
        """The program's answer to a request of the form that `inside.remote` reads.

        The limit of processor time is the sandbox's own, which a program may ignore or raise; so
        what was used since the last answer, in the background too, is read outside.
        """
        latest = time.monotonic() + self._wall
        deadline = latest if deadline is None else min(latest, deadline)
        self._sandbox.send(request, deadline)
        answer = self._sandbox.receive(deadline)
        before, self._used = self._used, self._sandbox.cpu_seconds()
        if self._used - before > self._cpu:
            self._sandbox.is_lost = True
            raise ProgramEnded("time")
        return answer


def _value(answer: Any) -> Tree:
    if isinstance(answer, dict) and "value" in answer:
        return answer["value"]
    raised = answer.get("raised") if isinstance(answer, dict) else None
    if isinstance(raised, list) and all(isinstance(part, str) for part in raised):
        raise Raised(": ".join(raised)[:500])
    raise ProgramEnded("forged answer")


class BrokenTests(RuntimeError):
    """The test code itself fails, whatever the program does."""


@dataclass(frozen=True)
class TestCode:
    """Test code of a problem, which never comes near the program."""

    tests: tuple[str, ...]
    """Each passes if it raises nothing."""
    names: tuple[str, ...]
    """Names of the program that they use."""
    helpers: str = ""
    """Code that they need, run before the program's names are there."""
    setup: str = ""
    """The same, run after."""

    __test__ = False  # else pytest takes it for one


@dataclass(frozen=True)
class TestResults:
    """Which tests passed."""

    passed: tuple[bool, ...]
    why: str
    """What the first failure was; empty if there was none."""

    __test__ = False


def run_tests(
    checker: Sandbox,
    program: LoadedProgram,
    code: TestCode,
    *,
    seconds: float,
    stop_early: bool,
) -> TestResults:
    """Run test code in one sandbox against the program in another.

    What the test code asks of the program passes through here; back come plain values and
    references only.

    Args:
        checker: a sandbox for the test code, which can be used again if this returns.
        program: the program.
        code: the test code.
        seconds: time on the clock for all tests together.
        stop_early: whether the first failure ends it.

    Raises:
        ProgramEnded: if one of the two does not answer in time, or ends its interpreter.
        BrokenTests: if the helpers fail, which know nothing of the program.
    """
    deadline = time.monotonic() + seconds
    job = {
        "job": "check",
        "tests": list(code.tests),
        "names": list(code.names),
        "helpers": code.helpers,
        "setup": code.setup,
        "stop_early": stop_early,
    }
    message = checker.ask(job, deadline - time.monotonic())
    while "ask" in message:
        answer = program.answer(message["ask"], deadline)
        message = checker.ask(answer, deadline - time.monotonic())
    if "broken" in message:
        raise BrokenTests(f"the tests' own code raises {message['broken']}")
    return TestResults(tuple(map(bool, message["passed"])), message["why"])
