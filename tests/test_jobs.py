"""Commands beside each other: what waits, what is left out, and how children end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scgrpo import jobs as jobs_module
from scgrpo.jobs import Job, run_jobs


def nothing(jobs: Any) -> None:
    pass


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    popen = jobs_module.subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        return popen([sys.executable, "-c", command[-1]], **options)

    monkeypatch.setattr(jobs_module.subprocess, "Popen", start)
    return lambda name, text: Job(name, [text], tmp_path / f"{name}.log")


def test_interrupt_is_handed_on_once(script: Any) -> None:
    patient = script(
        "patient",
        "import signal, time\n"
        "count = []\n"
        "signal.signal(signal.SIGINT, lambda *_: count.append(1))\n"
        "print('ready', flush=True)\n"
        "while not count: time.sleep(0.02)\n"
        "time.sleep(0.3)\n"
        "print('signals', len(count))",
    )
    ready = threading.Event()

    def tick(_: Any) -> None:
        if not ready.is_set() and "ready" in patient.log.read_text():
            ready.set()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_jobs([patient], tick, poll=0.02)
    assert patient.words.startswith("signals 1 (all of it: ")


def test_one_job_at_a_time_on_one_core(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "cores", lambda: 1)
    jobs = [script(f"job{i}", "import time; time.sleep(0.1)") for i in range(2)]
    most = 0

    def tick(_: Any) -> None:
        nonlocal most
        most = max(most, sum(job.running for job in jobs))

    started = time.monotonic()
    run_jobs(jobs, tick, poll=0.02)
    assert most == 1 and time.monotonic() - started > 0.2


def test_what_comes_after_a_failure_is_left_out_and_the_rest_is_run(script: Any) -> None:
    bad = script("bad", "print('error: no such disk'); raise SystemExit(1)")
    after = script("after", "print('never')")
    after.after = ("bad",)
    good = script("good", "print('fine')")
    late = script("late", "print('late')")
    added = []

    def more(settled: set[str]) -> list[Any]:
        return [added.append(1) or late] if "good" in settled and not added else []

    failed = run_jobs([bad, after, good], nothing, more=more, at_a_time=1, poll=0.02)
    assert failed["bad"].startswith("no such disk (all of it:")
    assert failed["after"] == "left out, since bad failed"
    assert set(failed) == {"bad", "after"}
    assert late.process is not None and late.process.returncode == 0
    assert after.process is None and good.seconds > 0


def test_what_follows_from_a_failed_job_never_starts_and_what_ended_well_is_told(
    script: Any,
) -> None:
    bad, good = script("bad", "raise SystemExit(1)"), script("good", "")
    late = script("late", "")
    late.after = ("bad",)
    told: list[str] = []
    for job in (bad, good, late):
        job.done = lambda job=job: told.append(job.name)
    added: list[Job] = []

    def more(over: set[str]) -> list[Job]:
        if "bad" not in over or added:
            return []
        added.append(late)
        return added

    failed = run_jobs([bad, good], nothing, more=more, at_a_time=2, poll=0.02)
    assert failed["late"] == "left out, since bad failed" and late.process is None
    assert told == ["good"] and (bad.code, good.code, late.code) == (1, 0, None)


JOBS = """
import sys
from pathlib import Path
from scgrpo import jobs

jobs.PATIENCE = 0.5
popen = jobs.subprocess.Popen
jobs.subprocess.Popen = lambda command, **options: popen(
    [sys.executable, "-c", command[-1]], **options
)
texts = sys.argv[2:]
folder = Path(sys.argv[1])
made = [jobs.Job(str(i), [text], folder / f"{i}.log") for i, text in enumerate(texts)]
jobs.run_jobs(made, lambda jobs: None, at_a_time=2, poll=0.05)
"""


def test_sigterm_ends_the_jobs(tmp_path):
    """They have sessions of their own: nobody else would end them."""
    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + sleeper
    parent = subprocess.Popen([sys.executable, "-c", JOBS, str(tmp_path), sleeper, deaf])
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    try:
        wait_for(lambda: all(log.exists() and log.read_text().strip() for log in logs))
        children = [int(log.read_text()) for log in logs]
        assert all(is_running(child) for child in children)
        parent.terminate()
        assert parent.wait(30) == 128 + signal.SIGTERM
    finally:
        parent.kill()
    wait_for(lambda: not any(is_running(child) for child in children))


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
