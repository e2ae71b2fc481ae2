"""The package appworld itself, on data written here: what is called exists, and episodes work.

Set SCGRPO_APPWORLD_PYTHON to an interpreter with AppWorld (`pip install appworld && appworld
install`); its data is not needed.
"""

import json
import subprocess
from pathlib import Path

import pytest

from scgrpo.tasks.appworld import AppWorldTask
from scgrpo.tasks.appworld.environments import OVER
from tests.tasks.appworld.conftest import REAL, needs_bubblewrap, real_python

pytestmark = [pytest.mark.slow, needs_bubblewrap]

SIGNATURES = """
import inspect, json
from appworld import AppWorld, evaluate_tasks, update_root
names = lambda f: list(inspect.signature(f).parameters)
print(json.dumps({
    "world": names(AppWorld.__init__), "execute": names(AppWorld.execute),
    "completed": names(AppWorld.task_completed), "evaluate": names(evaluate_tasks),
    "root": names(update_root),
}))
"""


@pytest.fixture(scope="module")
def python():
    found = real_python()
    if found is None:
        pytest.skip(f"set {REAL} to an interpreter that has AppWorld")
    return found


@pytest.fixture(scope="module")
def task(python, tmp_path_factory):
    root = tmp_path_factory.mktemp("mini-world")
    script = Path(__file__).with_name("mini_world.py")
    subprocess.run([python, script, root], check=True, cwd=root, timeout=280)
    return AppWorldTask(root=str(root), python=python)


def test_what_is_called_exists(python):
    done = subprocess.run([python, "-c", SIGNATURES], capture_output=True, text=True, check=True)
    names = json.loads(done.stdout)
    wanted = {"task_id", "experiment_name", "load_ground_truth", "timeout_seconds"}
    assert wanted | {"raise_on_failure"} <= set(names["world"])
    assert names["execute"] == ["self", "code"]
    assert names["completed"] == ["self"]
    assert names["evaluate"][:2] == ["task_ids", "experiment_name"]
    assert {"include_details", "save_reports"} <= set(names["evaluate"])
    assert names["root"] == ["root"]


def test_an_episode(task):
    environment = task.text_environment()
    first = environment.reset(task.rows("train")[0])
    assert "- spotify: A music streaming app" in first

    def run(code):
        return environment.step(f"```python\n{code}\n```")

    profile = json.loads(run("print(apis.supervisor.show_profile())").observation)
    assert profile["phone_number"] == "5551234567"
    run("number = apis.supervisor.show_profile()['phone_number']")
    assert "ZeroDivisionError" in run("1 / 0").observation
    assert "not allowed: os.system" in run("import os; os.system('ls')").observation
    # AppWorld itself lets this pass, and the answers of the task would be readable.
    truth = f"{task.installation.data}/tasks/aaa111_1/ground_truth/answer.json"
    for place in (truth, "data/tasks/aaa111_1/ground_truth/answer.json"):
        peek = run(f"import pathlib\nprint(pathlib.Path({place!r}).read_text())")
        assert "FileNotFoundError" in peek.observation
    done = run("apis.supervisor.complete_task(answer=number)")
    assert (done.reward, done.done) == (1.0, True)
    assert run("print(1)").observation == OVER
    environment.close()
    assert not task.failures


def test_validation_and_isolation(task):
    result = task.validate("train")
    assert (result.gold, result.damaged, result.disagreements) == (2, 4, ())
    many = [task.text_environment() for _ in range(2)]
    rows = [task.rows("train")[0]] * 2
    for environment, row in zip(many, rows, strict=True):
        environment.reset(row)
    answers = ("apis.supervisor.complete_task(answer='0')", "x = 1")
    steps = [e.step(f"```python\n{code}\n```") for e, code in zip(many, answers, strict=True)]
    assert [(step.reward, step.done) for step in steps] == [(0.0, True), (0.0, False)]
    code = "apis.supervisor.complete_task(answer='5551234567')"
    assert many[1].step(f"```python\n{code}\n```").reward == 1.0
    for environment in many:
        environment.close()
