"""One process at a time, and none that is dead."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from scgrpo import locks
from scgrpo.locks import Lock

HOLDER = """
import multiprocessing, os, sys, time
from pathlib import Path
from scgrpo.locks import Lock
def work():
    print(os.getpid(), flush=True)  # only now has the fork ended in the child
    time.sleep(60)
lock = Lock(Path(sys.argv[1]), "working")
multiprocessing.get_context("fork").Process(target=work).start()
time.sleep(60)
"""


def test_a_second_one_is_refused_until_the_first_lets_go(tmp_path):
    path = tmp_path / "new" / "run.lock"
    with Lock(path, "working"):
        with pytest.raises(OSError, match=rf"another process is training .*\({os.getpid()} on "):
            Lock(path, "training into here")
        assert path.exists()
    assert not path.exists()
    Lock(path, "working").release()


def test_it_leaves_no_folder_that_it_made_for_itself(tmp_path):
    path = tmp_path / "runs" / "new" / "run.lock"
    Lock(path, "working").release()
    assert list(tmp_path.iterdir()) == []
    with Lock(path, "working"):
        (tmp_path / "runs" / "other").mkdir()
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_dead_process_holds_nothing_even_if_its_workers_live(tmp_path):
    path = tmp_path / "run.lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    try:
        with pytest.raises(OSError, match="another process is working"):
            Lock(path, "working")
        process.kill()
        process.wait()
        os.kill(worker, 0)
        Lock(path, "working").release()
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_lock_that_its_holder_removed_meanwhile_locks_nothing(tmp_path, monkeypatch):
    """The file was opened before its holder let go: the lock on it is worth nothing."""
    path = tmp_path / "run.lock"
    first = Lock(path, "working")
    lock_file, calls = locks.fcntl.flock, []

    def let_go_in_between(file, how):
        if not calls:
            first.release()
        calls.append(file)
        lock_file(file, how)

    monkeypatch.setattr(locks.fcntl, "flock", let_go_in_between)
    second = Lock(path, "working")
    assert len(calls) == 2
    with pytest.raises(OSError, match="another process"):
        Lock(path, "working")
    second.release()


def test_a_disk_without_locks_is_no_refusal(tmp_path, monkeypatch, caplog):
    def impossible(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", impossible)
    with Lock(tmp_path / "run.lock", "working"):
        pass
    assert "cannot be locked ([Errno 37] No locks available)" in caplog.text
