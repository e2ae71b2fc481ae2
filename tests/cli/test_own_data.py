"""A file of rows and a file of rewards, from the first command to the comparison of two runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scgrpo.cli.errors import FAILED, MISTAKE, OK
from scgrpo.cli.main import app
from scgrpo.files import read_jsonl
from scgrpo.runs.run import train
from scgrpo.runs.run_config import RunConfig
from tests.trainer.tiny import tiny_model, tiny_tokenizer

REWARDS = """
def vowel(completions, answer, **columns):
    return [float(a in c[0]["content"]) for a, c in zip(answer, completions)]

def short(completions, **columns):
    return [float(len(c[0]["content"]) < 6) for c in completions]
"""
SMALL = {
    "--model": "model", "--max_steps": 1, "--per_device_train_batch_size": 8, "--eval_k": 2,
    "--num_generations": 4, "--max_completion_length": 6, "--guide": "{reference}",
    "--dataset": "words.jsonl", "--bf16": "false",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own")
    tiny_model(initializer_range=0.05).save_pretrained(path / "model")
    tiny_tokenizer().save_pretrained(path / "model")
    rows = [{"prompt": f"Q{i}", "answer": "aeiou"[i % 5]} for i in range(20)]
    (path / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "r.py").write_text(REWARDS)
    return path


@pytest.fixture(autouse=True)
def _here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def call(command: str, *words: Any) -> Any:
    return CliRunner().invoke(app, [command, *map(str, words)])


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[Path]:
    """Of a system prompt and two rewards, and without."""
    own = {"model": str(folder / "model"), "dataset": str(folder / "words.jsonl"), "eval_k": 2}
    small = {
        "max_steps": 1, "per_device_train_batch_size": 8, "num_generations": 4,
        "max_completion_length": 6, "guide": "{reference}",
    }  # fmt: skip
    first = RunConfig(
        **own, reward=f"{folder}/r.py:vowel", chat_prompts=True, output_dir=str(folder / "runs"),
        name="A", trainer=small,
    )  # fmt: skip
    second = RunConfig(
        **own, reward=[f"{folder}/r.py:vowel", f"{folder}/r.py:short"], chat_prompts=True,
        system_prompt="be", output_dir=str(folder / "runs"), name="B",
        trainer=small | {"reward_weights": [1.0, 0.5], "verifier": "short"},
    )  # fmt: skip
    return [train(first), train(second)]


def test_a_run_on_own_data_has_a_held_out_curve(runs: list[Path]) -> None:
    for run in runs:
        for step in (0, 1):
            rows = read_jsonl(run / "eval" / f"step_{step:06d}.jsonl")
            assert len(rows) == 2 * 2 and {row["split"] for row in rows} == {"heldout"}
    (first,), (second,) = (read_jsonl(run / "metrics.jsonl") for run in runs)
    assert "rewards/vowel/mean" in first and "rewards/short/mean" not in first
    assert second["reward"] == pytest.approx(
        second["rewards/vowel/mean"] + 0.5 * second["rewards/short/mean"]
    )


def test_system_prompt_and_chat_reach_the_model(runs: list[Path]) -> None:
    from pyarrow.parquet import read_table

    first, second = (
        read_table(run / "rollouts" / "step_000000.parquet").to_pylist()[0]["prompt"]
        for run in runs
    )
    assert first.startswith("Q") and second.startswith("beQ")  # roles are special tokens


def test_evaluate_takes_what_the_run_was_trained_on(runs: list[Path]) -> None:
    done = call("evaluate", runs[1], "-k", 1, "-o", "b.jsonl")
    assert done.exit_code == OK, done.output
    assert "on words.jsonl, heldout" in " ".join(done.output.split())
    rows = read_jsonl(Path("b.jsonl"))
    assert len(rows) == 2
    assert {(row["task"], row["system_prompt"], row["max_new_tokens"]) for row in rows} == {
        ("own-data", "be", 6)
    }
    # `short` is the verifier, and weights do not count there.
    assert all(row["reward"] == float(len(row["completion"]) < 6) for row in rows)


def test_evaluate_takes_a_file_of_its_own() -> None:
    asked = ("model", "--dataset", "words.jsonl", "--limit", 3, "-k", 1, "-o", "f.jsonl")
    done = call("evaluate", *asked, "--reward", "r.py:vowel", "--chat-prompts")
    assert done.exit_code == OK, done.output
    assert "model on words.jsonl" in " ".join(done.output.split())
    assert len(read_jsonl(Path("f.jsonl"))) == 3
    assert "give --reward" in call("evaluate", *asked).stderr
    both = call("evaluate", *asked, "--reward", "r.py:vowel", "--task", "synthetic")
    assert "keep one of them" in both.stderr
    assert "it needs --dataset" in call("evaluate", "model", "--reward", "r.py:vowel").stderr


def test_compare_takes_the_two_runs(runs: list[Path]) -> None:
    done = call("compare", *runs)
    assert done.exit_code == OK, done.output
    assert "A, step 1" in done.output and "2 problems in both" in done.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--model": None}, "dataset is 'words.jsonl', but no model is given; set model"),
        (
            {"--dataset": None, "--reward": None, "--task": "gsm8k", "--model": None},
            "but no model",
        ),
        ({"--reward": None}, "dataset='words.jsonl' needs a reward"),
        ({"--task": "synthetic"}, "both task='synthetic' and dataset='words.jsonl' are given"),
        ({"--dataset": None}, "reward is 'r.py:vowel' but no dataset is given"),
        ({"--per_device_train_batch_size": 400}, "words.jsonl has 18 rows to train on beside"),
        (
            {"--system_prompt": "be"},
            "the prompts are plain text; leave it out, or set chat",
        ),
        ({"--eval_dataset": "no.jsonl"}, "eval_dataset 'no.jsonl' does not exist"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str) -> None:
    given = {**SMALL, "--reward": "r.py:vowel", **options}
    flags = [str(w) for name, value in given.items() if value is not None for w in (name, value)]
    done = CliRunner().invoke(app, ["train", *flags])
    assert (done.exit_code, message in done.stderr) == (MISTAKE, True), done.stderr


def test_a_new_task_is_proved_before_it_is_used(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("tasks", "--new", "mine.py").exit_code == OK
    assert "is there already" in call("tasks", "--new", "mine.py").stderr
    assert "write its name with .py" in call("tasks", "--new", "mine").stderr
    proved = call("tasks", "--validate", "mine.py:Words", "--limit", 2)
    assert proved.exit_code == OK, proved.output
    text = Path("mine.py").read_text()
    assert "scgrpo train --task mine.py:Words" in text
    Path("mine.py").write_text(text.replace("found[-1:] == [right]", "right in found"))
    fooled = call("tasks", "--validate", "mine.py:Words", "--limit", 2)
    assert fooled.exit_code == FAILED and "expected 0: '3 or 4'" in fooled.output
    Path("mine.py").write_text(text.replace("return verified(", "verified("))
    assert "returned None; return what" in call("tasks", "--validate", "mine.py:Words").stderr
    assert "mine.py has no 'Word'" in call("tasks", "--validate", "mine.py:Word").stderr
    Path("mine.py").write_text("class Words: pass")
    assert "'mine.py:Words' is no task" in call("tasks", "--validate", "mine.py:Words").stderr
