"""What the model's code cannot reach, and how much it may use."""

import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from scgrpo.tasks.appworld import jail
from scgrpo.tasks.appworld.environments import OVER
from scgrpo.tasks.appworld.process import BLOCK, disk_use
from scgrpo.tasks.sandbox.probe import find_isolation
from scgrpo.tasks.sandbox.seccomp import build_filters
from tests.tasks.appworld.conftest import RIGHT, ROW, block, needs_bubblewrap
from tests.tasks.conftest import COMPLAINT, NOT_PERMITTED, fake_bwrap

ATTACKS = {
    "answer by the link": "open('data/tasks/aaa111_1/ground_truth/answer.json').read()",
    "answer by its place": "open('{data}/tasks/aaa111_1/ground_truth/answer.json').read()",
    "another task's answer": "open('{data}/tasks/bbb222_1/ground_truth/answer.json').read()",
    "secrets of the machine": "open('/etc/shadow').read()",
    "the tests' own files": "open('{tests}').read()",
    "writing to the data": "open('{data}/tasks/aaa111_1/specs.json', 'w')",
    "writing to the system": "open('/usr/lib/x', 'w')",
    "replacing the data": "os.rename('data', 'old')",
    "replacing the outputs": "os.unlink('experiments/outputs')",
    "the network": "socket.create_connection(('127.0.0.1', 22), timeout=2)",
    "the parent": "os.kill({parent}, 9)",
    "the parent's environment": "open('/proc/{parent}/environ').read()",
}


@needs_bubblewrap
def test_the_jail_holds(make_task, fake):
    task = make_task()
    environment = task.text_environment()
    environment.reset(ROW)
    names = {
        "data": fake / "data",
        "tests": Path(__file__).resolve().with_name("test_task.py"),
        "parent": os.getpid(),
    }
    for what, attack in ATTACKS.items():
        code = f"import os, socket\nprint('got', {attack.format(**names)})"
        observation = environment.step(block(code)).observation
        assert "Error" in observation and "got" not in observation.splitlines()[0], what
    seen = environment.step(block("print(len([p for p in os.listdir('/proc') if p.isdigit()]))"))
    assert int(seen.observation) <= 2, "it sees its own processes alone"
    step = environment.step(block(RIGHT))
    assert (step.reward, step.done) == (1.0, True), "and the honest way is open"
    environment.close()


@needs_bubblewrap
def test_what_lies_below_usr_or_beside_python_is_not_shown(make_task):
    environment = make_task().text_environment()
    environment.reset(ROW)
    seen = environment.step(
        block(
            "import os, sys\n"
            "print(sorted(os.listdir('/usr')))\n"
            "print([p for p in os.listdir(sys.base_prefix) if not p.startswith(('bin', 'lib'))])\n"
            "print([p for p in os.listdir(sys.prefix) if p not in ('bin', 'lib', 'pyvenv.cfg')])\n"
            "print(os.listdir('/usr/share'))"
        )
    ).observation.splitlines()
    environment.close()
    below, beside, in_environment, shared = map(ast.literal_eval, seen)
    assert set(below) <= {"bin", "lib", "lib32", "lib64", "local", "share"}
    assert "local" not in below or sys.base_prefix.startswith("/usr/local")
    assert beside == [] and in_environment == []
    assert shared == ["zoneinfo"]


@needs_bubblewrap
def test_a_jailed_world_cannot_hand_the_judge_another_truth(make_task):
    environment = make_task().text_environment()
    environment.reset(ROW)
    forged = """
import contextlib, json, os, pathlib
here = pathlib.Path('experiments/outputs').resolve().parent
for name in ('data', 'world/data'):
    for top in (here, here / 'outputs'):
        with contextlib.suppress(OSError):
            folder = top / name / 'tasks' / 'aaa111_1' / 'ground_truth'
            folder.mkdir(parents=True)
            (folder / 'answer.json').write_text('"forged"')
apis.supervisor.complete_task('forged')
"""
    step = environment.step(block(forged))
    environment.close()
    assert (step.reward, step.done) == (0.0, True)


@needs_bubblewrap
def test_a_jailed_world_leaves_no_process(make_task, monkeypatch):
    monkeypatch.setattr(jail, "build_filters", lambda: None)  # which would forbid it the process
    environment = make_task().text_environment()
    environment.reset(ROW)
    marker = "sleep 987.654"
    spawn = f"subprocess.Popen({marker.split()!r}, start_new_session=True)"
    step = environment.step(block(f"import subprocess\nprint({spawn}.poll())"))
    assert step.observation == "None\n"
    assert marker in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout
    environment.close()
    assert marker not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout


FILL = """
import os
for folder in (os.environ['HOME'], os.environ['APPWORLD_CACHE'], '/tmp', '/dev/shm'):
    written = 0
    with open(folder + '/large', 'wb', buffering=0) as file:
        try:
            for _ in range(200):
                written += file.write(b'x' * 2**20)
        except OSError as error:
            print(error.errno, written >> 20)
    os.unlink(folder + '/large')
"""


@needs_bubblewrap
def test_a_jailed_world_has_only_so_much_of_each_folder_in_memory(make_task):
    environment = make_task().text_environment()
    environment.reset(ROW)
    full = f"28 {jail.SCRATCH_MB}\n"  # ENOSPC
    assert environment.step(block(FILL)).observation == 4 * full
    environment.close()


@needs_bubblewrap
@pytest.mark.parametrize("place", ["/", "/dev", "{own}", "{own}/..", "/etc"])
def test_a_jailed_world_writes_nowhere_else(make_task, place):
    environment = make_task().text_environment()
    environment.reset(ROW)
    own = environment._world._folder / "own"
    code = f"open({place.format(own=own)!r} + '/x', 'w')"
    assert "Read-only file system" in environment.step(block(code)).observation
    environment.close()


PROCESSES = {
    "a fork": "os.fork()",
    "a program": "subprocess.run(['/bin/true'])",
    "a shell": "os.system('true') and 1 / 0",
    "another program": "os.execv('/bin/true', ['true'])",
    "a namespace": "1 / (1 + ctypes.CDLL(None).unshare(0x10000000))",
}


@needs_bubblewrap
@pytest.mark.skipif(build_filters() is None, reason="needs libseccomp")
def test_a_jailed_world_starts_threads_and_no_process(make_task):
    environment = make_task().text_environment()
    environment.reset(ROW)
    for what, attempt in PROCESSES.items():
        code = f"import ctypes, os, subprocess\n{attempt}\nprint('done')"
        assert "Error" in environment.step(block(code)).observation, what
    thread = "import threading\nthreading.Thread(target=print, args=('in a thread',)).start()"
    assert environment.step(block(thread)).observation.startswith("in a thread")
    assert environment.step(block(RIGHT)).reward == 1.0
    environment.close()


SANDBOXES = ["process", pytest.param("bubblewrap", marks=needs_bubblewrap)]
OUTPUTS = "import os, time\nos.chdir(os.path.realpath('experiments/outputs'))\n"
FLOODS = {
    "a file": "open('large', 'wb').write(b'x' * 2**24)",
    "many files": "[open(str(n), 'w').close() for n in range(4000)]",
    "a file too deep to be seen": "[(os.mkdir('d' * 200), os.chdir('d' * 200)) for _ in '.' * 30]",
}


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize("what", FLOODS)
def test_a_world_that_fills_the_disk_is_ended(make_task, sandbox, what):
    task = make_task(sandbox=sandbox, disk=8)
    environment = task.text_environment()
    environment.reset(ROW)
    folder = environment._world._folder
    step = environment.step(block(f"{OUTPUTS}{FLOODS[what]}\ntime.sleep(60)"))
    assert step == (OVER, 0.0, True)
    assert task.failures == {"full": 1}
    environment.close()
    assert not folder.exists()


def test_a_tree_too_deep_for_python_is_removed(environment):
    environment.reset(ROW)
    folder = environment._world._folder
    deep = "[(os.mkdir('d'), os.chdir('d')) for _ in range(1000)]"
    environment.step(block(f"{OUTPUTS}here = os.getcwd()\n{deep}\nos.chdir(here)"))
    environment.close()
    assert not folder.exists()


def test_what_is_counted(tmp_path):
    folder = tmp_path / "outputs"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(b"x" * 3 * BLOCK)
    (tmp_path / "large").write_bytes(b"x" * 100 * BLOCK)
    (folder / "link").symlink_to(tmp_path / "large")
    (folder / "loop").symlink_to(folder)
    directory = (folder / "inner").stat()
    inner = max(BLOCK, directory.st_size, 512 * directory.st_blocks)
    assert disk_use(folder, 2**30) == inner + 3 * BLOCK + 2 * BLOCK
    assert disk_use(folder, BLOCK) > BLOCK
    assert disk_use(tmp_path / "gone", BLOCK) == 0


def test_a_bubblewrap_that_cannot_cap_is_refused(make_task, fresh, tmp_path, monkeypatch):
    fake_bwrap(tmp_path, monkeypatch, "echo bubblewrap 0.6.1")
    with pytest.raises(ValueError, match=r"bubblewrap is 0\.6\.1.*install 0\.7 or later"):
        _ = make_task().text_environment


def test_without_bubblewrap_it_refuses(make_task, fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"apt-get install bubblewrap.*option sandbox=process"):
        _ = make_task().text_environment


def test_where_it_is_not_permitted_no_episode_begins(make_task, fresh, tmp_path, monkeypatch):
    fake_bwrap(tmp_path, monkeypatch, NOT_PERMITTED)
    with pytest.raises(ValueError, match=rf"{COMPLAINT}; .*seccomp=unconfined.*sandbox=process"):
        _ = make_task().text_environment


@needs_bubblewrap
def test_a_jail_without_proc(make_task, monkeypatch):
    """As in containers in which /proc cannot be mounted."""
    without = replace(find_isolation("process"), own_proc=False)
    monkeypatch.setattr(jail, "find_isolation", lambda way_out: without)
    environment = make_task().text_environment()
    environment.reset(ROW)
    shown = environment.step(block("import os\nprint(os.listdir('/proc'))"))
    assert shown.observation == "[]\n"
    assert environment.step(block(RIGHT)).reward == 1.0
    environment.close()
