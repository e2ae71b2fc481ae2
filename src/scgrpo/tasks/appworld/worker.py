"""Runs AppWorld in a process of its own, under whatever interpreter has it.

Started by its path, so it imports nothing but the standard library and AppWorld. It reads one JSON
request a line from standard input and answers with one JSON line on standard output; what AppWorld
or the model's code prints goes to standard error.
"""

import json
import os
import resource
import runpy
import sys
from collections.abc import Callable
from typing import Any, TextIO

LONGEST_ERROR = 4000
"""Characters of an error that are told."""
CUT = "\n... {count} characters left out ...\n"

_world: Any = None


def open_world(task_id: str, experiment: str, options: dict[str, Any]) -> dict[str, Any]:
    """Begin a task, without its ground truth; what the model is told of it."""
    global _world
    from appworld import AppWorld

    _world = AppWorld(
        task_id=task_id, experiment_name=experiment, load_ground_truth=False, **options
    )
    return {
        "instruction": _world.task.instruction,
        "apps": {str(k): str(v) for k, v in _world.task.app_descriptions.items()},
    }


def execute(code: str, most: int) -> dict[str, Any]:
    """Run the model's code; what it printed, and whether the task is now marked as complete."""
    output = shorten(str(_world.execute(code)), most)
    return {"output": output, "completed": bool(_world.task_completed())}


def shorten(text: str, most: int) -> str:
    """A text of at most about so many characters, cut in the middle."""
    if len(text) <= most:
        return text
    half = most // 2
    return text[:half] + CUT.format(count=len(text) - 2 * half) + text[-half:]


def evaluate(task_id: str, experiment: str) -> dict[str, Any]:
    """Judge the state that an episode left on disk, by the task's own tests."""
    from appworld import evaluate_tasks

    found = evaluate_tasks(
        [task_id], experiment_name=experiment, include_details=True, save_reports=False
    )
    result = found["individual"][task_id]
    return {"success": bool(result["success"]), "tests": int(result["num_tests"])}


HANDLERS: dict[str, Callable[..., dict[str, Any]]] = {
    "open": open_world,
    "execute": execute,
    "evaluate": evaluate,
}


def main(guard: str, config: dict[str, Any]) -> None:
    """Answer requests until the input ends.

    Args:
        guard: path of `inside/guard.py` of the sandbox of programs, whose caps these are.
        config: `memory_mb`, most memory in MiB of address space, and what `guard.confine` needs.
    """
    requests, answers = _take_channel()
    memory = config["memory_mb"] * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    import appworld  # noqa: F401 -- what takes seconds is done before the first request

    runpy.run_path(guard)["confine"](config)
    for line in requests:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"ok": HANDLERS[request.pop("do")](**request)}
        except BaseException as error:  # AppWorld and its apps raise bare Exceptions
            answer = {"error": shorten(f"{type(error).__name__}: {error}", LONGEST_ERROR)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # AppWorld's own threads and hooks have nothing left to say


def _take_channel() -> tuple[TextIO, TextIO]:
    """The channel to the parent, out of reach of `print` and `input`."""
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose modules must not stand in for others
    main(sys.argv[1], json.loads(sys.argv[2]))
