"""Two gloo processes make the run that one process makes; groups may span them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.trainer.tiny import tiny_model, tiny_tokenizer

SCRIPT = Path(__file__).with_name("two_processes.py")
LAUNCHER = (
    *("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)
PRESETS = (
    "sc-grpo", "dapo", "reinforce++", "grpo+bikl", "sc-grpo-memory", "sc-grpo-disagreement",
    "sc-grpo-entropy",
)  # fmt: skip


def run(output, *launcher):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    command = [sys.executable, *launcher, str(SCRIPT), str(output), *PRESETS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(output, weights_only=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    tiny_model().save_pretrained(folder / "model")
    tiny_tokenizer().save_pretrained(folder / "model")
    return run(folder / "one.pt"), run(folder / "two.pt", *LAUNCHER)


@pytest.mark.parametrize("preset", PRESETS)
def test_one_process_equals_two(runs, preset):
    one, two = runs[0][preset], runs[1][preset]
    assert len(one["records"]) == 3 * 24
    for a, b in zip(one["records"], two["records"], strict=True):
        names = [name for name in a if name != "kl"]
        assert [a[n] for n in names] == [b[n] for n in names]
        assert (a["kl"] is None) == (b["kl"] is None)
        if a["kl"]:
            torch.testing.assert_close(
                torch.tensor(a["kl"]), torch.tensor(b["kl"]), atol=1e-5, rtol=1e-4
            )
    assert one["scales"] == pytest.approx(two["scales"], rel=1e-4)
    for name, weight in one["weights"].items():
        torch.testing.assert_close(weight, two["weights"][name], atol=1e-5, rtol=0)


def test_the_runs_exercise_what_they_are_about(runs):
    records = {preset: found["records"] for preset, found in runs[0].items()}
    assert {r["route"] for r in records["sc-grpo"]} >= {"partial", "none"}
    # Fresh problems took the place of those that all rollouts solve.
    assert all(r["prompt"].rstrip("abcdefghijklmnop") for r in records["dapo"])
    assert not {r["prompt"].split("Q")[-1][-1] for r in records["dapo"]} & set("acegikmo")
    remembered = [
        r for r in records["sc-grpo-memory"] if r["reference"] < 0 and r["reference_text"]
    ]
    assert remembered and all(r["step"] > 0 for r in remembered)
    assert any("[observation]" in r["reference_text"] for r in remembered)
    assert any(r["kl"] for r in records["sc-grpo-disagreement"])
