"""Data of a small world, and the package that plays it: the fake one, or AppWorld itself."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from scgrpo.tasks.appworld import AppWorldTask
from scgrpo.tasks.appworld.installation import probe

FAKE = Path(__file__).parent / "fake"
REAL = "SCGRPO_APPWORLD_PYTHON"
"""Environment variable with an interpreter that has AppWorld."""
PERSON = {
    "first_name": "Ann",
    "last_name": "Lee",
    "email": "ann@example.com",
    "phone_number": "5551234567",
}
TASKS = {
    "train": {"aaa111_1": "5551234567", "aaa111_2": "Ann", "bbb222_1": "Lee"},
    "dev": {"ccc333_1": "ann@example.com"},
    "test_normal": {"ddd444_1": "Ann"},
    "test_challenge": {"eee555_1": "Lee"},
}
ROW = {"task_id": "aaa111_1"}
RIGHT = "apis.supervisor.complete_task('5551234567')"


def block(code):
    """A turn that executes code."""
    return f"I think.\n```python\n{code}\n```\nDone."


def write_data(root):
    """Data in AppWorld's layout; the answer is something of the person's profile."""
    (root / "data" / "datasets").mkdir(parents=True)
    for split, answers in TASKS.items():
        (root / "data" / "datasets" / f"{split}.txt").write_text("\n".join(answers) + "\n")
        for task_id, answer in answers.items():
            folder = root / "data" / "tasks" / task_id
            (folder / "ground_truth").mkdir(parents=True)
            specs = {
                "instruction": f"Tell me what ends in {answer[-2:]!r}.",
                "supervisor": PERSON,
                "datetime": "2023-05-18T12:00:00",
            }
            (folder / "specs.json").write_text(json.dumps(specs))
            (folder / "ground_truth" / "answer.json").write_text(json.dumps(answer))
            difficulty = {"difficulty": 1 + (task_id == "bbb222_1")}
            (folder / "ground_truth" / "metadata.json").write_text(json.dumps(difficulty))
            if split in ("train", "dev"):
                call = f"apis.supervisor.complete_task(answer={answer!r})"
                solution = folder / "ground_truth" / "compiled_solution.py"
                solution.write_text(f"def solution(apis, requester):\n    {call}\n")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A root with data, and a path on which the fake package lies."""
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.delenv("APPWORLD_ROOT", raising=False)
    probe.cache_clear()
    write_data(tmp_path)
    yield tmp_path
    probe.cache_clear()


@pytest.fixture
def make_task(fake):
    """Makes the task over the fake world."""
    return lambda **options: AppWorldTask(**{"root": str(fake)} | options)


@pytest.fixture
def environment(make_task):
    """An environment without a jail."""
    task = make_task(sandbox="process")
    environment = task.text_environment()
    environment.task = task
    yield environment
    environment.close()


needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bubblewrap")


def real_python():
    """An interpreter with AppWorld, or None."""
    for python in (os.environ.get(REAL), sys.executable):
        if python and probe(python)["apps"]:
            return python
    return None
