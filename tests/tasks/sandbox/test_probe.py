"""Whether isolation is possible, and what is said where it is not."""

import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from scgrpo.tasks.sandbox import Limits, NoIsolation, Sandbox, SandboxPool, choose_backend
from scgrpo.tasks.sandbox.probe import cure, find_isolation
from tests.tasks.conftest import COMPLAINT, NOT_PERMITTED, SMALL, fake_bwrap


def test_missing_bubblewrap(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoIsolation) as refusal:
        choose_backend()
    assert "bubblewrap is not installed; apt-get install bubblewrap" in str(refusal.value)
    assert "sandbox=subprocess" in str(refusal.value)


def test_old_bubblewrap(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_bwrap(tmp_path, monkeypatch, "echo bubblewrap 0.6.1")
    with pytest.raises(NoIsolation, match=r"bubblewrap is 0\.6\.1.*install 0\.7 or later"):
        choose_backend()


def test_bubblewrap_that_is_not_permitted(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_bwrap(tmp_path, monkeypatch, NOT_PERMITTED)
    with pytest.raises(NoIsolation) as refusal:
        choose_backend()
    assert COMPLAINT in str(refusal.value) and "seccomp=unconfined" in str(refusal.value)


def test_cure_names_the_setting_that_forbids(tmp_path: Path) -> None:
    settings = {
        "kernel/unprivileged_userns_clone": "0\n",
        "user/max_user_namespaces": "96365\n",
        "kernel/apparmor_restrict_unprivileged_userns": "1\n",
    }
    for name, value in settings.items():
        file = tmp_path / "proc/sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    assert cure(tmp_path) == (
        "sysctl -w kernel.unprivileged_userns_clone=1 (as root); "
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (as root)"
    )
    (tmp_path / ".dockerenv").touch()
    assert cure(tmp_path).endswith("and with --cap-add SYS_ADMIN if you are root in it")
    assert "--security-opt seccomp=unconfined" in cure(tmp_path / "elsewhere")


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match="sandbox is 'docker'; it is bubblewrap, or subprocess"):
        choose_backend("docker")


def test_subprocess_warns_each_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        choose_backend("subprocess")
        choose_backend("subprocess")
    assert [r.message.count("WITHOUT isolation") for r in caplog.records] == [1, 1]


def test_subprocess_has_caps_but_no_walls(tmp_path: Path) -> None:
    pool = SandboxPool(choose_backend("subprocess"), SMALL, ("numpy",), warm=1)
    secret = tmp_path / "secret"
    secret.write_text("readable")
    with pool.sandbox() as sandbox:
        assert sandbox.run(f"print(open({str(secret)!r}).read())").output == "readable\n"
        assert sandbox.run("while True: pass", cpu_seconds=0.3).why == "time"
        assert sandbox.run("x = bytearray(300 << 20)").why == "error"
        assert sandbox.run("print(input() + input())", "a\nb\n").output == "ab\n"
        assert sandbox.run("import numpy; print(numpy.arange(3).sum())").output == "3\n"
    pool.close()


ORDINARY = """
import os
from scgrpo.tasks.sandbox import Limits, LoadedProgram, SandboxPool, choose_backend
pool = SandboxPool(choose_backend(), Limits(memory_mb=200, processes=8), warm=1)
others = [os.fork() or os.execv("/bin/sleep", ["sleep", "30"]) for _ in range(20)]
with pool.sandbox() as sandbox:
    print(os.getuid(), pool.backend.isolation.as_root)
    print(sandbox.run("import os; print(os.getuid(), os.listdir(os.environ['HOME']))").output)
    print(sandbox.run('''
import ctypes, os, threading, time
print(ctypes.CDLL(None).unshare(0x10000000))
made = 0
try:
    for _ in range(50):
        threading.Thread(target=time.sleep, args=(0.3,)).start()
        made += 1
except RuntimeError:
    pass
print(4 <= made <= 11)
for folder in "/", "/dev", "/usr", "/scgrpo":
    try:
        open(folder + "/x", "w")
        print("wrote", folder)
    except OSError:
        pass
''').output)
    program = LoadedProgram(sandbox, "def f(n): return n + 1")
    print(program.call(program.name("f"), [1]))
pool.close()
for process in others:
    os.kill(process, 9)
"""


def test_an_ordinary_user(filtered: SandboxPool) -> None:
    """In a user namespace, where processes are counted for each sandbox, whoever else runs."""
    if os.geteuid() != 0:
        pytest.skip("all other tests run as an ordinary user already")
    python = "/usr/bin/python3"  # ours may lie in root's home
    recent = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not Path(python).exists() or subprocess.run([python, "-c", recent]).returncode:
        pytest.skip("there is no Python 3.11 that an ordinary user can start")
    source = Path(__file__).parents[3] / "src"
    import pyseccomp

    with tempfile.TemporaryDirectory() as site:  # pytest's own folders are root's alone
        Path(site).chmod(0o755)
        shutil.copy(pyseccomp.__file__, site)
        shutil.copytree(source / "scgrpo", Path(site) / "scgrpo")
        done = subprocess.run(
            [python, "-c", ORDINARY],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": site},
            user=4242, group=4242, extra_groups=[], cwd="/", capture_output=True, text=True,
        )  # fmt: skip
    assert done.stdout.split("\n") == [
        "4242 False", "65534 []", "", "-1", "True", "", "2", "",
    ], done.stderr  # fmt: skip


def test_sandbox_without_proc(filtered: SandboxPool) -> None:
    """As in containers in which /proc cannot be mounted: stricter, and programs still run."""
    from dataclasses import replace

    from scgrpo.tasks.sandbox.backends import BubblewrapBackend

    backend = BubblewrapBackend(replace(find_isolation(), own_proc=False))
    sandbox = Sandbox(backend, Limits(memory_mb=200), ())
    try:
        sandbox.wait_until_ready()
        run = sandbox.run("import os; print(os.listdir('/proc'), input())", "7")
        assert run.output == "[] 7\n", run
    finally:
        sandbox.close()
