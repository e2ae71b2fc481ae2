"""`scgrpo train` as a process: what it prints, Ctrl-C, and going on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scgrpo.cli.main import app
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

STEPS = 40
RUN = f"""
preset: sc-grpo
model: model
dataset: problems.jsonl
reward: reward.py:verify
name: run
learning_rate: 1e-3
max_steps: {STEPS}
per_device_train_batch_size: 8
num_generations: 4
max_completion_length: 8
"""
REWARD = """
def verify(completions, answer, **columns):
    return [float(a in c[0]["content"]) for a, c in zip(answer, completions)]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_model(initializer_range=0.05, max_position_embeddings=1024).save_pretrained(
        tmp_path / "model"
    )
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(r) + "\n" for r in tiny_dataset(8)))
    (tmp_path / "reward.py").write_text(REWARD)
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "scgrpo.cli", "train", "--config", "run.yaml", *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def steps_of(folder: Path) -> list[int]:
    rows = (folder / "runs" / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(text)["step"] for text in rows]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_says_how_to_go_on_and_does(folder: Path, number: int) -> None:
    process = start(folder)
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("step 2/"):
            _refuse_second(folder)
            process.send_signal(number)
            break
    output, problems = process.communicate(timeout=120)
    assert process.returncode == 130, problems
    assert "scgrpo train --config run.yaml" in output
    assert "Traceback" not in problems
    done = steps_of(folder)
    assert done == list(range(1, len(done) + 1)) and 2 <= len(done) < STEPS
    assert (folder / "runs" / "run" / "checkpoints" / f"checkpoint-{len(done)}").is_dir()

    process = start(folder)
    output, problems = process.communicate(timeout=120)
    assert process.returncode == 0, problems
    assert f"step {len(done) + 1}/{STEPS}" in output and f"step {len(done)}/" not in output
    assert "scgrpo report runs/run" in output
    assert steps_of(folder) == list(range(1, STEPS + 1))
    run = folder / "runs" / "run"
    assert (run / "model" / "config.json").is_file()

    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 0, result.output
    assert "<html" in (run / "report.html").read_text()[:500]


def _refuse_second(folder: Path) -> None:
    """While one process trains in the folder, another one is refused in a sentence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, ["train", "-c", "run.yaml"])
    assert result.exit_code == 1
    (sentence,) = result.stderr.strip().splitlines()
    assert sentence.startswith("error: another process is training into runs/run now (")


def test_reward_that_fails_is_one_sentence_and_a_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "reward.py").write_text("def verify(completions, **_):\n    return ['x'] * 8\n")
    before = signal.getsignal(signal.SIGINT)
    result = CliRunner().invoke(app, ["train", "-c", "run.yaml"])
    assert result.exit_code == 1
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("error: the reward function 'verify' returned 'x'")
    assert signal.getsignal(signal.SIGINT) is before
