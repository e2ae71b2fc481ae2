"""Writes data for the real package: AppWorld's own apps, empty but for one person, and two tasks.

Run by an interpreter that has AppWorld: `python mini_world.py ROOT`. Nothing of AppWorld's data is
used or copied.
"""

import json
import os
import sys
from pathlib import Path

ROOT = Path(sys.argv[1])
os.environ["APPWORLD_ROOT"] = str(ROOT)
os.environ["APPWORLD_CACHE"] = str(ROOT / "cache")

from appworld.apps import get_all_apps  # noqa: E402
from appworld.collections.api_docs import ApiDocCollection  # noqa: E402
from appworld.collections.models import ModelCollection  # noqa: E402
from appworld.common.constants import DB_VERSION  # noqa: E402

PERSON = {
    "first_name": "Ann",
    "last_name": "Lee",
    "email": "ann@example.com",
    "phone_number": "5551234567",
    "birthday": "1990-01-01",
}
TASKS = {
    "aaa111_1": ("What is my phone number?", "5551234567"),
    "aaa111_2": ("What is my last name?", "Lee"),
}
TESTS = ["the answer is right", "the task is complete"]
EVALUATION = """
import json

def evaluate(test, public_data, private_data, main_user, models, ground_truth_answer):
    task = models.end.supervisor.Task.all()[0]
    with test("the answer is right"):
        test.answer(json.loads(task.answer), ground_truth_answer)
    with test("the task is complete"):
        test.case(task.status, "==", "success")
"""


def main():
    data = ROOT / "data"
    base = data / "base_dbs"
    base.mkdir(parents=True)
    apps = get_all_apps(skip_admin=False)
    models = ModelCollection.load(str(base), str(base), load_apps=apps, create_db=True)
    models.admin.MainUser(**PERSON).save()
    models.supervisor.Supervisor(**PERSON).save()
    models.close()
    for task_id, (instruction, answer) in TASKS.items():
        write_task(data / "tasks" / task_id, task_id, instruction, answer, apps, base)
    (data / "datasets").mkdir()
    (data / "datasets" / "train.txt").write_text("\n".join(TASKS))
    docs = data / "api_docs" / "standard"
    docs.mkdir(parents=True)
    shown = [app for app in apps if app != "admin"]
    written = ApiDocCollection.build(load_apps=tuple(shown))
    for app in shown:
        content = {name: {**doc, "canary_string": ""} for name, doc in written.get(app, {}).items()}
        (docs / f"{app}.json").write_text(json.dumps(content))


def write_task(folder, task_id, instruction, answer, apps, base):
    folder.mkdir(parents=True)
    memory = f":memory:task_input-{task_id}"
    models = ModelCollection.load(memory, str(base), load_apps=apps)
    models.supervisor.Task(supervisor_id=1, instruction=instruction).save()
    models.save(str(folder / "dbs"), format="changes")
    models.close()
    specs = {
        "instruction": instruction,
        "supervisor": PERSON,
        "datetime": "2023-05-18T12:00:00",
        "db_version": DB_VERSION,
    }
    (folder / "specs.json").write_text(json.dumps(specs))
    truth = folder / "ground_truth"
    truth.mkdir()
    metadata = {"difficulty": 1, "mode": "minimal"}
    metadata |= dict.fromkeys(
        ("num_apps", "num_apis", "num_api_calls", "num_solution_code_lines"), 1
    )
    files = {
        "answer": answer,
        "metadata": metadata,
        "private_data": {},
        "public_data": {},
        "test_data": [{"requirement": test, "label": "no_op_fail"} for test in TESTS],
    }
    for name, content in files.items():
        (truth / f"{name}.json").write_text(json.dumps(content))
    (truth / "evaluation.py").write_text(EVALUATION)
    call = f"apis.supervisor.complete_task(answer={answer!r})"
    (truth / "compiled_solution.py").write_text(f"def solution(apis, requester):\n    {call}\n")


if __name__ == "__main__":
    main()
