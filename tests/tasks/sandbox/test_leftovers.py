"""Nothing survives: no process, no file, no descriptor, no thread."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from scgrpo.tasks.sandbox import Limits, ProgramEnded, SandboxError, SandboxPool
from tests.tasks.conftest import SMALL, make_pool
from tests.tasks.sandbox.processes import NAMESPACE, are_gone, members, zombies_of_ours

DAEMON = f"""
{NAMESPACE}
import os, sys, time
sys.stdout.flush()
for _ in range(3):
    try:
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)  # a zombie, until somebody collects it
            while True:
                open("/tmp/alive", "w").write("x")
                time.sleep(0.01)
    except OSError:
        pass
"""
PROGRAMS = (
    NAMESPACE,
    DAEMON,
    NAMESPACE + "\nimport sys; sys.stdout.flush()\nos.kill(-1, 9)",
    NAMESPACE + "\nfor n in range(50): open(f'/tmp/left-by-a-program-{n}', 'w').write('x')",
    NAMESPACE + "\nimport sys; sys.stdout.flush()\nos._exit(1)",
    NAMESPACE + "\nimport threading; threading.Thread(target=print, args=('',)).start()",
    NAMESPACE + "\nx = bytearray(10 << 30)",
    NAMESPACE + "\nprint('x' * (10 << 20))",
)


def files_of_temp() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if "program" in name}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def run_many(pool: SandboxPool, programs: list[str]) -> list[str]:
    """Namespaces of programs, each run in a sandbox of its own, two at a time.

    The kernel gives the number of one that is gone to a later one.
    """

    def one(source: str) -> str:
        with pool.sandbox() as sandbox:
            namespace = sandbox.run(NAMESPACE).output
            with suppress(ProgramEnded):
                sandbox.run(source, cpu_seconds=0.5)
            return namespace.strip()

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, programs))


def check_nothing_is_left(programs: list[str], *, seccomp: bool) -> None:
    before, descriptors, threads = files_of_temp(), open_files(), threading.active_count()
    pool = make_pool(seccomp=seccomp, warm=2)
    namespaces = run_many(pool, programs)
    assert len(namespaces) == len(programs) and all(n.startswith("pid:") for n in namespaces)
    pool.close()  # what it has in store may have been given such a number
    assert are_gone(set(namespaces))
    assert zombies_of_ours() == 0
    assert files_of_temp() <= before
    assert open_files() <= descriptors
    assert threading.active_count() <= threads


@pytest.mark.slow
@pytest.mark.parametrize("seccomp", [True, False], ids=["filtered", "unfiltered"])
def test_nothing_is_left(seccomp: bool) -> None:
    check_nothing_is_left(list(PROGRAMS) * 2, seccomp=seccomp)


@pytest.mark.slow
@pytest.mark.parametrize("seccomp", [True, False], ids=["filtered", "unfiltered"])
def test_nothing_is_left_of_a_thousand_programs(seccomp: bool) -> None:
    check_nothing_is_left([PROGRAMS[n % len(PROGRAMS)] for n in range(1000)], seccomp=seccomp)


def test_sandbox_ends_while_its_program_runs(pool: SandboxPool) -> None:
    with pool.sandbox() as sandbox:
        namespace = {sandbox.run(NAMESPACE).output.strip()}
        running = threading.Thread(target=lambda: _run_quietly(sandbox))
        running.start()
        assert members(namespace)
    running.join()
    assert are_gone(namespace)


def _run_quietly(sandbox: "object") -> None:
    with suppress(ProgramEnded, OSError, ValueError):
        sandbox.run("import time\ntime.sleep(60)")  # type: ignore[attr-defined]


OWNER = """
import sys, time
from scgrpo.tasks.sandbox import Limits, SandboxPool, choose_backend
pool = SandboxPool(choose_backend(), Limits(memory_mb=200), warm=2)
with pool.sandbox() as sandbox:
    print(sandbox.run({program!r}).output, flush=True)
    sandbox.run("import time\\ntime.sleep(600)")
"""


@pytest.mark.slow
def test_sandboxes_end_with_their_owner(unfiltered: SandboxPool) -> None:
    """Also if it is killed, as the kernel does when memory is short."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(program=NAMESPACE)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    namespace = {owner.stdout.readline().strip()}
    assert members(namespace)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert are_gone(namespace)


def test_closed_pool_hands_out_nothing(filtered: SandboxPool) -> None:
    pool = make_pool()
    pool.close()
    pool.close()
    with pytest.raises(SandboxError, match="closed"), pool.sandbox():
        pass


def test_pool_of_another_process_is_left_alone(filtered: SandboxPool) -> None:
    child = os.fork()
    if child == 0:
        filtered.close()
        os._exit(int(filtered.is_mine))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with filtered.sandbox() as sandbox:
        assert sandbox.run("print(1)").output == "1\n"


def test_pool_survives_a_backend_that_fails(filtered: SandboxPool, tmp_path: Path) -> None:
    class Failing:
        name = "failing"
        failures = 3

        def start(self, limits: Limits, packages: tuple[str, ...], channel: int) -> object:
            if self.failures:
                self.failures -= 1
                raise (OSError, ZeroDivisionError, OSError)[self.failures]("no process today")
            return filtered.backend.start(limits, packages, channel)

    pool = SandboxPool(Failing(), SMALL, warm=1)  # type: ignore[arg-type]
    with pytest.raises(SandboxError, match="no process today"), pool.sandbox():
        pass
    with pool.sandbox() as sandbox:
        assert sandbox.run("print(1)").output == "1\n"
    pool.close()
