"""What a process that runs the model's code may send in place of an answer."""

import os
import sys
import tracemalloc

import pytest

from scgrpo.tasks.appworld.environments import OVER
from scgrpo.tasks.appworld.process import LONGEST_ANSWER, Worker, WorkerError
from tests.tasks.appworld.conftest import RIGHT, ROW, block

FORGED = {
    "nothing": "{}",
    "a list": "[]",
    "a number": "7",
    "no JSON": "ok",
    "bytes that are no text": b"\xff",
    "an empty result": '{"ok": {}}',
    "a result that is no object": '{"ok": []}',
    "half a result": '{"ok": {"output": "x"}}',
    "an output that is no text": '{"ok": {"output": 3, "completed": false}}',
    "an end that is no truth value": '{"ok": {"output": "x", "completed": 1}}',
    "JSON that is nested deeply": "[" * 5000,
    "a result with more of it": '{"ok": {"output": "", "completed": true, "x": ' + "[" * 5000,
    "two answers": '{"ok": {"output": "x", "completed": true}}\n{}',
}


def forge(answer):
    """Code that answers in place of the worker."""
    line = (answer if isinstance(answer, bytes) else answer.encode()) + b"\n"
    return f"""
import os
for channel in range(3, 12):
    try:
        os.write(channel, {line!r})
    except OSError:
        pass
os._exit(0)
"""


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_answer_costs_its_own_episode(environment, what):
    environment.reset(ROW)
    step = environment.step(block(forge(FORGED[what])))
    assert step == (OVER, 0.0, True)
    assert environment.task.failures == {"died": 1}
    environment.reset(ROW)
    assert environment.step(block(RIGHT)).reward == 1.0, "the next episode has a new process"


def test_an_answer_that_claims_success_earns_nothing(environment):
    environment.reset(ROW)
    step = environment.step(block(forge('{"ok": {"output": "x", "completed": true}}')))
    assert step == ("x", 0.0, True)


def test_a_forged_output_is_shortened_and_can_be_encoded(make_task):
    environment = make_task(sandbox="process", max_output=100).text_environment()
    environment.reset(ROW)
    long = "\\ud800" + "a" * 1000
    code = forge(f'{{"ok": {{"output": "{long}", "completed": false}}}}')
    observation = environment.step(block(code)).observation
    environment.close()
    assert len(observation) < 300 and observation.startswith("?aaa")
    assert "characters left out" in observation


def test_a_forged_size_costs_no_memory(tmp_path):
    endless = "import os\nwhile True: os.write(1, b'x' * 2**20)"
    worker = Worker([sys.executable, "-c", endless], tmp_path / "log", os.environ, tmp_path)
    tracemalloc.start()
    with pytest.raises(WorkerError, match=f"more than {LONGEST_ANSWER} bytes") as caught:
        worker.ask("execute", 60, code="")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.kind == "died" and not worker.alive
    assert peak < 4 * LONGEST_ANSWER
    with pytest.raises(WorkerError, match="ended during execute"):
        worker.ask("execute", 60, code="")


def test_a_process_that_does_not_listen_is_ended(tmp_path):
    deaf = [sys.executable, "-c", "import time\ntime.sleep(600)"]
    worker = Worker(deaf, tmp_path / "log", os.environ, tmp_path)
    with pytest.raises(WorkerError, match=r"execute took more than 0\.5 s") as caught:
        worker.ask("execute", 0.5, code="x" * 2**20)  # more than a pipe holds
    assert caught.value.kind == "hung" and not worker.alive
