"""Rewards in worker processes: whatever an item does, it costs this item only."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scgrpo.tasks.base import FAILURES_METRIC
from scgrpo.tasks.workers import RewardWorkers
from tests.tasks import faulty

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workers():
    pool = RewardWorkers(faulty.reward, name="faulty", seconds=0.5, hangs=1.5, processes=2)
    yield pool
    pool.close()


def test_rewards_come_back_in_order(workers):
    kinds = ["right", "half", "wrong", "true"] * 50
    assert workers.score([(kind,) for kind in kinds]) == [1.0, 0.5, 0.0, 1.0] * 50
    assert not workers.failures
    assert workers.score([]) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("raise", "error"),
        ("exit", "error"),
        ("keyboard", "error"),
        ("recursion", "error"),
        ("memory", "error"),
        ("none", "error"),
        ("text", "error"),
        ("list", "error"),
        ("nothing known", "error"),
        ("two", "invalid"),
        ("minus", "invalid"),
        ("nan", "invalid"),
        ("endless", "timeout"),
        ("sleep", "timeout"),
        ("c_loop", "timeout"),
        ("quit_0", "timeout"),
        ("deaf", "timeout"),
        ("quit_1", "crash"),
        ("segfault", "crash"),
        ("abort", "crash"),
        ("killed", "crash"),
    ],
)
def test_a_failure_costs_its_item_and_is_counted_and_logged(workers, caplog, kind, failure):
    workers.failures.clear()
    logged = []
    with caplog.at_level(logging.WARNING):
        rewards = workers.score(
            [("right",), (kind,), ("half",), ("right",)], lambda *metric: logged.append(metric)
        )
    assert rewards == [1.0, 0.0, 0.5, 1.0]
    assert workers.failures == {failure: 1}
    assert logged == [(FAILURES_METRIC, 0.25)]
    assert f"faulty: 1 of 4 items got reward 0 because the verifier failed ({failure} 1)" in (
        caplog.text
    )


@pytest.fixture(scope="module")
def patient():
    pool = RewardWorkers(faulty.reward, name="faulty", seconds=0.5, hangs=60, processes=2)
    yield pool
    pool.close()


@pytest.mark.slow
def test_only_processor_time_counts(patient, caplog):
    assert patient.score([("idle",), ("right",)]) == [1.0, 1.0]  # 0.8 s, of which it uses nothing
    assert patient.score([("busy", 0.2)] * 6) == [1.0] * 6  # three and more in one worker
    assert not patient.failures
    with caplog.at_level(logging.WARNING):
        assert patient.score([("busy", 20.0), ("right",)]) == [0.0, 1.0]
    assert patient.failures == {"timeout": 1}
    assert "took more than 0.5 s of processor time" in caplog.text


def test_what_uses_no_processor_time_hangs(workers, caplog):
    with caplog.at_level(logging.WARNING):
        assert workers.score([("sleep",)]) == [0.0]
    assert "hung for 1.5 s" in caplog.text


def test_what_cannot_be_sent_is_an_error(workers):
    workers.failures.clear()
    assert workers.score([("right", lambda: 0), ("right", 1)]) == [0.0, 1.0]
    assert workers.failures == {"error": 1}


def test_a_batch_in_which_every_second_item_kills_its_worker(workers):
    workers.failures.clear()
    assert workers.score([("quit_1",), ("right",)] * 10) == [0.0, 1.0] * 10
    assert workers.failures == {"crash": 10}


def test_a_pool_that_breaks_down_is_replaced_and_the_items_are_scored(workers, monkeypatch):
    workers.failures.clear()
    workers.score([("right",)])
    broken = workers._pool
    broken.stop()
    assert workers.score([("right",), ("half",)]) == [1.0, 0.5]
    assert workers._pool is not broken and not workers.failures
    monkeypatch.setattr("pebble.ProcessPool.schedule", raising)
    assert workers.score([("right",), ("half",)]) == [0.0, 0.0]
    assert workers.failures == {"lost": 2}


def raising(*_, **__):
    raise RuntimeError("Unexpected error within the Pool")


def test_workers_start_late_are_reused_and_end(tmp_path):
    pool = RewardWorkers(faulty.reward, name="faulty", seconds=5, processes=2)
    assert pool._pool is None
    file = tmp_path / "pids"
    pool.score([("pid", str(file))] * 6)
    pool.score([("pid", str(file))] * 6)
    pids = set(map(int, file.read_text().split()))
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids  # for twelve items
    pool.close()
    assert not any(map(alive, pids))


SCRIPT = """
import sys, time
assert "main_script_was_run" not in globals()
main_script_was_run = True
print("begun", flush=True)  # no guard: a worker that imported this script would begin again
from scgrpo.tasks.workers import RewardWorkers
from tests.tasks import faulty
pool = RewardWorkers(faulty.reward, name="faulty", seconds=5, processes=2)
print(pool.score([("pid", sys.argv[1]), ("main",), ("pid", sys.argv[1])]), flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


def start(tmp_path, mode):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "pids"), mode],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_script_without_main_guard_runs_once_and_leaves_no_process(tmp_path):
    output, problems = start(tmp_path, "end").communicate(timeout=60)
    assert output == "begun\n[1.0, 0.0, 1.0]\n", problems
    assert not problems
    assert not any(map(alive, map(int, (tmp_path / "pids").read_text().split())))


def test_workers_die_with_a_program_that_is_killed(tmp_path):
    process = start(tmp_path, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    assert process.stdout.readline() == "[1.0, 0.0, 1.0]\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    pids = list(map(int, (tmp_path / "pids").read_text().split()))
    deadline = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pids and not any(map(alive, pids))


def alive(pid):
    """Whether a process is there, zombies aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seconds": 0}, "time limit of faulty is 0 s"),
        ({"seconds": 2, "hangs": 1}, "hangs after 1 s"),
        ({"processes": 0}, "needs at least 1"),
    ],
)
def test_settings_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        RewardWorkers(faulty.reward, name="faulty", **options)


def test_a_function_that_workers_cannot_import_is_refused():
    with pytest.raises(ValueError, match="define it at the top of a module"):
        RewardWorkers(lambda item: 1.0, name="faulty")
