"""The plain install trains and evaluates; what needs an extra says which, in one sentence."""

import json
import os
import subprocess
import sys

import pytest

from scgrpo.extras import MissingExtra, install, require

SMALL = [
    "--model", "tiny", "--max_steps", "2", "--per_device_train_batch_size", "8",
    "--num_generations", "4", "--max_completion_length", "16", "--eval_steps", "0",
]  # fmt: skip
TRAINS = {
    "the embedded task": ["train", *SMALL, "--name", "embedded"],
    "a data set with a reward": [
        "train", *SMALL, "--name", "own", "--dataset", "own.jsonl", "--reward", "reward.py:verify",
    ],
    "evaluation": [
        "evaluate", "runs/embedded", "-k", "1", "--limit", "2", "--max-new-tokens", "8",
    ],
}  # fmt: skip
REFUSED = {
    ("train", "gsm8k"): "math_verify is not installed; for the math tasks, {math}",
    ("evaluate", "gsm8k"): "math_verify is not installed; for the math tasks, {math}",
    ("train", "humaneval"): "pyseccomp is not installed; for the code tasks, {code}",
    ("evaluate", "humaneval"): "pyseccomp is not installed; for the code tasks, {code}",
    ("tasks", "humaneval"): "pyseccomp is not installed; for the code tasks, {code}",
    ("train", "shop"): "ijson is not installed; for the shop task, {shop}",
    ("evaluate", "shop"): "ijson is not installed; for the shop task, {shop}",
    ("tasks", "shop"): "ijson is not installed; for the shop task, {shop}",
}
ASKED = {
    "train": lambda task: ["train", "--model", "tiny", "--task", task],
    "evaluate": lambda task: ["evaluate", "tiny", "--task", task],
    "tasks": lambda task: ["tasks", "--validate", task],
}
OTHERS = {
    "lora": (["train", *SMALL, "--name", "l", "--lora", "{r: 2}"], "peft is not installed"),
    "vllm": (["evaluate", "tiny", "--engine", "vllm"], "vllm is not installed"),
    "openai": (
        ["evaluate", "tiny", "--engine", "openai", "--url", "http://localhost:9/v1"],
        "openai is not installed",
    ),
}
LISTS = {"tasks": ["tasks"], "doctor": ["doctor"]}
COMMANDS = [
    *TRAINS.values(),
    *(ASKED[command](task) for command, task in REFUSED),
    *(command for command, _ in OTHERS.values()),
    *LISTS.values(),
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What each command said, all run in one process that finds no extra."""
    folder = tmp_path_factory.mktemp("plain")
    rows = [{"prompt": [{"role": "user", "content": f"{n}+1"}], "answer": str(n)} for n in range(8)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "reward.py").write_text(
        "def verify(completions, answer, **_):\n"
        "    return [float(a in c[-1]['content']) for a, c in zip(answer, completions)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.plain_install", json.dumps(COMMANDS)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": _path()},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    return {tuple(command): result for command, result in zip(COMMANDS, results, strict=True)}


def _path():
    """Where the tests and the package are found from another folder."""
    return os.pathsep.join([os.getcwd(), *filter(None, sys.path)])


@pytest.mark.parametrize("what", TRAINS)
def test_what_the_plain_install_does(said, what):
    code, _, errors = said[tuple(TRAINS[what])]
    assert code == 0, errors


@pytest.mark.parametrize(("command", "task"), REFUSED)
def test_a_task_says_which_extra_it_needs(said, command, task):
    code, _, errors = said[tuple(ASKED[command](task))]
    commands = {extra: install(extra) for extra in ("math", "code", "shop")}
    sentence = REFUSED[command, task].format(**commands)
    assert (code, errors) == (1, f"error: {sentence}.\n")


@pytest.mark.parametrize("extra", OTHERS)
def test_so_do_adapters_and_engines(said, extra):
    command, reason = OTHERS[extra]
    code, _, errors = said[tuple(command)]
    assert code == 1 and errors.count("\n") == 1
    assert reason in errors and install(extra) in errors


def test_the_lists_say_it_as_well(said):
    code, tasks, _ = said["tasks",]
    rows = {row.split()[0]: row for row in tasks.splitlines() if row.strip()}
    assert code == 0 and "present" in rows["synthetic"] and "present" in rows["lookup"]
    for task, extra in {"math500": "math", "mbpp": "code", "shop": "shop"}.items():
        assert " missing " in rows[task]
        note = rows[task].split()[-1]
        assert install(extra) in (rows[note] if note in rows else rows[task])
    code, doctor, _ = said["doctor",]
    assert code == 0
    for extra in ("math", "workers", "code", "shop", "spacy", "appworld", "lora", "openai", "vllm"):
        (row,) = (row for row in doctor.splitlines() if f"scgrpo[{extra}] " in row)
        assert "missing" in row and install(extra) in row


def test_a_package_that_is_there_and_broken_says_why(monkeypatch, tmp_path):
    (tmp_path / "vllm.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match=r"vllm cannot be imported \(No module named 'no_such_"):
        require("vllm")
