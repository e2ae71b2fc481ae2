"""A small world with the interface of the package appworld, for tests without that package.

It has one app beside the supervisor's, keeps its state on disk as AppWorld does, and judges an
answer. It forbids the code nothing, so that the jail around it is what is tested.
"""

import contextlib
import io
import json
import os
import signal
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

_open = None


def update_root(root):
    os.environ["APPWORLD_ROOT"] = root
    return root


def load_task_ids(dataset_name="train"):
    path = _root() / "data" / "datasets" / f"{dataset_name}.txt"
    return path.read_text().split()


class AppWorld:
    def __init__(
        self,
        task_id,
        experiment_name="default",
        load_ground_truth=True,
        timeout_seconds=100,
        raise_on_failure=True,
    ):
        global _open
        assert _open is None, "one world a process"
        assert not load_ground_truth
        _open = self
        self.timeout = timeout_seconds
        specs = json.loads((_root() / "data" / "tasks" / task_id / "specs.json").read_text())
        self.task = SimpleNamespace(
            instruction=specs["instruction"],
            app_descriptions={"supervisor": "The person.", "notes": "Notes of the person."},
        )
        self.state = {"status": None, "answer": "<<NOT_GIVEN>>", "notes": []}
        self.folder = _outputs(experiment_name, task_id)
        self.folder.mkdir(parents=True)
        supervisor = SimpleNamespace(complete_task=self._complete, show_profile=lambda: specs)
        notes = SimpleNamespace(add=self.state["notes"].append, show=lambda: self.state["notes"])
        self.names = {
            "apis": SimpleNamespace(supervisor=supervisor, notes=notes),
            "requester": None,
            "raise_on_failure": raise_on_failure,
        }
        self._save()

    def execute(self, code):
        printed = io.StringIO()
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(self.timeout)
        try:
            with contextlib.redirect_stdout(printed):
                exec(code, self.names)
            output = printed.getvalue() or "Execution successful."
        except Exception:
            output = f"Execution failed. Traceback:\n{traceback.format_exc()}"
        finally:
            signal.alarm(0)
        self._save()
        return output

    def task_completed(self):
        return self.state["status"] is not None

    def _complete(self, answer=None, status="success"):
        self.state |= {"status": status, "answer": answer}

    def _save(self):
        (self.folder / "state.json").write_text(json.dumps(self.state))


def evaluate_tasks(task_ids, experiment_name="default", include_details=True, save_reports=True):
    individual = {}
    for task_id in task_ids:
        truth = _root() / "data" / "tasks" / task_id / "ground_truth"
        if (truth / "broken").exists():
            raise Exception("the tests of this task are broken")
        if (truth / "slow").exists():
            time.sleep(60)
        answer = json.loads((truth / "answer.json").read_text())
        state = json.loads((_outputs(experiment_name, task_id) / "state.json").read_text())
        success = state["status"] == "success" and state["answer"] == answer
        individual[task_id] = {"success": success, "num_tests": 2}
    return {"aggregate": {}, "individual": individual}


def _outputs(experiment, task_id):
    return _root() / "experiments" / "outputs" / experiment / "tasks" / task_id


def _root():
    return Path(os.environ["APPWORLD_ROOT"])


def _too_long(number, frame):
    raise Exception("Execution timed out.")
