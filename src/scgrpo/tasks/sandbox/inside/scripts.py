"""Scripts: a process for each test, or one for all tests of a script that keeps no state."""

import atexit
import functools
import gc
import os
import random
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from inside import endings, guard, remote
from inside.spool import Spool

if TYPE_CHECKING:
    from inside.repeated import Repeated

T = TypeVar("T")


class Prepared(NamedTuple):
    """The module that a script is to be, with the names that it is given."""

    module: types.ModuleType
    names: frozenset[str]


class Scripts:
    """Runs scripts as jobs ask.

    Args:
        config: of the driver.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._key: tuple[Any, ...] = ()
        self._code: types.CodeType | None = None
        self._runs = 0
        self._repeated: Repeated | None = None

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """Run a script once and end all that it started.

        A failure in a process that has served other tests counts only if it is one of time;
        else the test is run again in a process of its own, and so are those that follow.
        """
        key = tuple(job[part] for part in ("source", "prelude", "argv", "cpu_seconds", "files"))
        if key != self._key:
            self.end()
            self._key, self._runs = key, 0
            self._code = self._within(job, lambda: compile(job["source"], "program.py", "exec"))
        self._runs += 1
        started = time.monotonic()
        if self._runs == 2 and not job["files"]:
            self._repeated = self._start(job)
        if self._repeated is not None:
            answer, is_alive = self._repeated.run(job)
            if not is_alive:
                self.end()
            if not answer["in_time"] or answer["code"] == 0:
                return answer
            self.end()
        left = job["wall_seconds"] - (time.monotonic() - started)
        return self._run_alone(job | {"wall_seconds": max(0.0, left)})

    def end(self) -> None:
        """End the process that serves a stateless script."""
        if self._repeated is not None:
            self._repeated.end()
            self._repeated = None

    def _start(self, job: dict[str, Any]) -> "Repeated | None":
        """A process for the tests from now on, if the script is stateless."""
        # Not for a program that fails its first test: they take as long as a test.
        import ast

        from inside import stateless
        from inside.repeated import Repeated, Task

        prepared = _prepared(job["prelude"])
        tree = self._within(job, lambda: ast.parse(job["source"]))
        if tree is None or prepared is None or self._code is None:
            return None
        names = stateless.names_to_keep(tree, vars(prepared.module))
        if names is None:
            return None
        return Repeated(Task(self._code, names, job["argv"], job["cpu_seconds"]), self._config)

    def _within(self, job: dict[str, Any], read: Callable[[], T]) -> T | None:
        """Read a script's text, within its processor time; None if that raises."""
        guard.limit_cpu(job["cpu_seconds"], for_good=False)
        try:
            return read()
        except Exception:
            return None  # in its own process, it raises again
        finally:
            guard.unlimit_cpu()

    def _run_alone(self, job: dict[str, Any]) -> dict[str, Any]:
        config = self._config
        for name, text in job["files"].items():
            with open(os.path.join(config["scratch"], name), "w", encoding="utf-8") as file:
                file.write(text)
        modes = {path: os.stat(path).st_mode for path in (config["scratch"], config["spool"])}
        spool = Spool(config["spool"])
        spool.give(job["stdin"])
        prepared = _prepared(job["prelude"])
        gc.freeze()
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _become_program(job, config, spool, prepared, self._code)
        in_time = endings.wait(child, job["wall_seconds"])
        seconds = time.monotonic() - started
        status, usage = endings.end(child, config["isolated"])
        are_clear = [endings.clear(folder, mode) for folder, mode in modes.items()]
        answer = spool.read(config["output_mb"] * guard.MEGABYTE)
        spool.close()
        return answer | {
            "is_clear": all(are_clear),
            "in_time": in_time,
            "code": os.waitstatus_to_exitcode(status),
            "seconds": seconds,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        }


@functools.cache
def _prepared(prelude: str) -> Prepared | None:
    """What a prelude leaves: run once, before any program, for all its tests.

    It is no program's text. One that raises is left to the program's own process.
    """
    module = types.ModuleType("__main__")
    try:
        exec(prelude, module.__dict__)
    except Exception:
        return None
    return Prepared(module, frozenset(vars(module)))


def _become_program(
    job: dict[str, Any],
    config: dict[str, Any],
    spool: Spool,
    prepared: Prepared | None,
    code: types.CodeType | None,
) -> NoReturn:
    status = 1
    try:
        spool.become_standard()
        os.closerange(3, guard.OPEN_FILES)
        if not config["isolated"]:
            os.setsid()
        os.chdir(config["scratch"])
        sys.argv = job["argv"]
        guard.limit_cpu(job["cpu_seconds"], for_good=True)
        guard.confine(config)
        if prepared is None or code is None:
            remote.load(job["source"], job["prelude"], "__main__")
        else:
            random.seed(0)
            sys.modules["__main__"] = prepared.module
            exec(code, vars(prepared.module))
        status = 0
    except SystemExit:
        status = 0  # as in LiveCodeBench, leaving early is no failure
    except BaseException:
        import traceback  # as slow as ten tests, and seldom needed

        traceback.print_exc(limit=-8)
    try:
        # What the interpreter itself does at its end, without tearing down a hundred modules.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        # Files that the program left open are written.
        if prepared is None or code is None:
            vars(sys.modules["__main__"]).clear()
        else:
            _forget(vars(prepared.module), prepared.names, code)
        for stream in (sys.stdout, sys.stderr, sys.__stdout__):
            stream.flush()
    except BaseException:
        status = 1
    os._exit(status)


def _forget(namespace: dict[str, Any], given: frozenset[str], code: types.CodeType) -> None:
    """Clear a namespace but for what was given: to touch that copies the memory it lies in."""
    waiting = [code]
    while waiting:
        part = waiting.pop()
        waiting += [c for c in part.co_consts if isinstance(c, types.CodeType)]
        for name in part.co_names:
            namespace.pop(name, None)
    while namespace and next(reversed(namespace)) not in given:
        namespace.popitem()
