"""AppWorld through TRL's tool loop, over the fake world: a process per rollout, rewards, routes."""

import json

import pytest
from typer.testing import CliRunner

from scgrpo.cli.main import app
from tests.tasks.appworld.conftest import fake, make_task  # noqa: F401 -- fixtures
from tests.tasks.tiny_text_model import save_text_model, text_model, text_tokenizer
from tests.trainer.runs import config
from tests.trainer.scripted import ScriptedTrainer, tool_call

ANSWERS = {"'67'": "5551234567", "'nn'": "Ann", "'ee'": "Lee"}


def write(text, place):
    """Half of a group answers rightly, one rightly after a look at the apps, one wrongly."""
    answer = next(a for hint, a in ANSWERS.items() if f"ends in {hint}" in text)
    if place == 2 and "print(1 + 1)" not in text and text.count("<tool_call>") == 1:
        return tool_call("execute", {"code": "print(1 + 1)"})
    if "complete_task('" in text:
        return "done"
    answer = answer[1:] if place == 3 else answer
    return tool_call("execute", {"code": f"apis.supervisor.complete_task('{answer}')"})


@pytest.mark.slow
def test_two_steps(make_task, tmp_path):  # noqa: F811
    task = make_task(sandbox="process")
    args = config(
        tmp_path / "run",
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=2000,
        max_tool_calling_iterations=task.max_turns,
        max_steps=2,
        guide=task.guide,
        rollout_steps=1,
    )
    trainer = ScriptedTrainer(
        write,
        text_model(context=16384, num_hidden_layers=1, num_attention_heads=1),
        None,
        args,
        task.rows("train"),
        processing_class=text_tokenizer(),
        environment_factory=task.environment,
    )
    trainer.train()
    rewards = [[record["reward"] for record in group] for group in trainer.records.values()]
    assert rewards == [[1.0, 1.0, 1.0, 0.0]] * 2
    log = [row for row in trainer.state.log_history if "credit/route_partial" in row]
    assert [row["credit/route_partial"] for row in log] == [1.0, 1.0]
    assert all(0 < row["credit/weight_mean"] < 1 for row in log)
    assert not task.failures
    for environment in trainer.environments:
        environment._next.close()


def test_one_command(fake, tmp_path):  # noqa: F811
    model = save_text_model(tmp_path / "model")
    command = [
        *("train", "--task", "appworld"),
        *("--task_options", json.dumps({"root": str(fake), "sandbox": "process"})),
        *("--model", str(model), "--output_dir", str(tmp_path), "--name", "run"),
        *("--max_steps", "1", "--per_device_train_batch_size", "4", "--num_generations", "4"),
        *("--max_completion_length", "32"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (row,) = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert row["rewards/AppWorldTools/mean"] == 0, "noise solves nothing"


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_what_is_missing_is_said_at_once(command, tmp_path):
    model = save_text_model(tmp_path / "model")
    subject = ["--model", str(model)] if command == "train" else [str(model)]
    options = "--task_options" if command == "train" else "--task-options"
    arguments = ["--task", "appworld", options, json.dumps({"root": str(tmp_path)})]
    done = CliRunner().invoke(app, [command, *subject, *arguments])
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "pip install 'scgrpo[appworld]' && appworld install && appworld download data" in said
