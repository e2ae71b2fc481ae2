"""Two gloo processes make the run that one process makes; groups may span them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_processes.py")


def run(output, *launcher):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    command = [sys.executable, *launcher, str(SCRIPT), str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(output, weights_only=True)


def test_one_process_equals_two(tmp_path):
    one = run(tmp_path / "one.pt")
    launcher = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    options = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    two = run(tmp_path / "two.pt", *launcher, *options, "--main_process_port", "0")
    assert len(one["records"]) == 3 * 24
    assert {r["route"] for r in one["records"]} >= {"partial", "none"}
    for a, b in zip(one["records"], two["records"], strict=True):
        names = ("step", "group", "index", "route", "reference")
        assert [a[n] for n in names] == [b[n] for n in names]
        assert (a["kl"] is None) == (b["kl"] is None)
        if a["kl"]:
            torch.testing.assert_close(
                torch.tensor(a["kl"]), torch.tensor(b["kl"]), atol=1e-5, rtol=1e-4
            )
    assert one["scales"] == pytest.approx(two["scales"], rel=1e-4)
    for name, weight in one["weights"].items():
        torch.testing.assert_close(weight, two["weights"][name], atol=1e-5, rtol=0)
