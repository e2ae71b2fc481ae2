"""`scgrpo train` and `scgrpo evaluate` on mathematics, from files to numbers, with a tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scgrpo.cli.main import app
from tests.tasks.math.published import AIME_ROWS, GSM8K_ROWS, write_rows
from tests.tasks.tiny_text_model import save_text_model


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def command(tmp_path: Path, model: Path) -> list[object]:
    rows = write_rows(tmp_path / "rows.jsonl", GSM8K_ROWS)
    return [
        "train", "--task", "gsm8k", "--task_options.data", rows, "--model", model,
        "--output_dir", tmp_path, "--name", "run", "--max_steps", 2,
        "--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 1,
        "--num_generations", 4, "--max_completion_length", 12,
    ]  # fmt: skip


@pytest.mark.slow
def test_train_on_a_local_file(command: list[object], tmp_path: Path, model: Path) -> None:
    result = run(*command, "--eval_steps", 0)
    assert result.exit_code == 0, result.output
    metrics = [json.loads(t) for t in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics] == [1, 2]
    assert [row["reward/verifier_failures"] for row in metrics] == [0.0, 0.0]
    assert [row["reward"] for row in metrics] == [0.0, 0.0]  # noise solves nothing

    data = write_rows(tmp_path / "aime.jsonl", AIME_ROWS)
    output = tmp_path / "aime.records.jsonl"
    result = run(
        "evaluate", tmp_path / "run", "--task", "aime24", "--task-options", f"{{data: {data}}}",
        "-k", 2, "--max-new-tokens", 12, "-o", output,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "aime24, test" in result.output and "2 x 2" in result.output
    records = [json.loads(text) for text in output.read_text().splitlines()]
    assert [record["reward"] for record in records] == [0.0] * 4
    assert {record["split"] for record in records} == {"test"}


def test_one_file_for_training_and_evaluation_is_refused(command: list[object]) -> None:
    result = run(*command, "--eval_steps", 1)
    assert result.exit_code == 2
    assert "would have been trained on" in result.stderr and result.stderr.count("\n") == 1


def test_a_benchmark_is_not_trained_on(command: list[object]) -> None:
    command[2] = "aime25"
    result = run(*command)
    assert result.exit_code == 2
    assert "task 'aime25' is a benchmark without a training split" in result.stderr


def test_data_that_is_not_there(tmp_path: Path, model: Path) -> None:
    missing = run("evaluate", model, "--task", "math500", "--task-options", "{data: none.jsonl}")
    assert missing.exit_code == 2
    assert "data is 'none.jsonl', which does not exist" in missing.stderr
    unreachable = run("evaluate", model, "--task", "math500")
    assert unreachable.exit_code == 2
    assert "HuggingFaceH4/MATH-500 (split test) cannot be loaded from the hub" in unreachable.stderr
    assert "--task-options '{data: PATH}'" in unreachable.stderr
