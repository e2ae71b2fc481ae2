"""The same seed gives the same run, bit by bit, also in another process; see `tests/net.py`."""

import subprocess
import sys

import pytest

# Generation, every use of the teacher, dynamic sampling, a resume, the tools of an agent.
CASES = ("run: sc-grpo-memory few agent", "run: dapo", "run: opsd", "run: grpo+bikl", "resume: sc")


@pytest.mark.slow
def test_two_processes_compute_the_same(tmp_path):
    only = [part for case in CASES for part in ("--only", case)]
    for command in ("make", "compare"):
        call = [sys.executable, "-m", "tests.net", command, str(tmp_path / "net.json"), *only]
        done = subprocess.run(call, capture_output=True, text=True, timeout=290)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert done.stdout.count("\n") > len(CASES)
