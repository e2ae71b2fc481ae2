"""Runs in one process, or really in two, of which each tells what it was and what it found."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.process_run import GROUP, ROLLOUTS
from tests.trainer.strategies import ENVIRONMENT
from tests.trainer.tiny import tiny_model, tiny_tokenizer

SCRIPT = Path(__file__).with_name("process_run.py")
ROOT = Path(__file__).parents[2]
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
TIMEOUT = 500
ROUNDING = 1e-5
"""Largest difference of weights, D and logged numbers between one process and two."""
Found = dict[str, Any]


def write_models(folder: Path) -> None:
    """Policies with a head of their own and with a tied one, and a teacher."""
    for name, seed, tied in (("model", 0, False), ("tied", 0, True), ("teacher", 1, False)):
        tiny_model(seed, tie_word_embeddings=tied).save_pretrained(folder / name)
        tiny_tokenizer().save_pretrained(folder / name)


def launched(
    folder: Path, strategy: str, cases: Sequence[str], packages: Sequence[Path] = ()
) -> list[dict[str, Found]]:
    """What each process found in each case.

    Args:
        folder: with the models.
        strategy: "one" for one process, or how two share the model.
        cases: see `process_run.options_of`.
        packages: folders of packages that these processes see first.
    """
    paths = [*map(str, packages), str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, *(() if strategy == "one" else TWO), str(SCRIPT), str(folder)]
    with subprocess.Popen(
        [*command, strategy, *cases],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            _, errors = process.communicate()
    assert process.returncode == 0, f"{strategy} ended with {process.returncode}: {errors[-6000:]}"
    ranks = range(1 if strategy == "one" else 2)
    return [torch.load(folder / f"{strategy}-{rank}.pt", weights_only=True) for rank in ranks]


def assert_two_processes(found: Sequence[Found], wrapped: str) -> None:
    """Each of them was one of two, on gloo, with groups that span both."""
    assert len(found) == 2 and (ROLLOUTS // 2) % GROUP
    for rank, process in enumerate(found):
        facts = process["facts"]
        assert (facts["processes"], facts["process"], facts["backend"]) == (2, rank, "gloo")
        assert facts["wrapped"] == wrapped


def assert_same_run(one: Found, found: Sequence[Found]) -> None:
    """Each process tells the run of one: rollouts, credit, logs and weights."""
    for process in found:
        assert len(process["records"]) == len(one["records"]) > 0
        for a, b in zip(one["records"], process["records"], strict=True):
            assert_same_record(a, b)
        for a, b in zip(one["logged"], process["logged"], strict=True):
            numbers = {name for name in a if name in ("loss", "grad_norm") or "/" in name}
            for name in numbers - {"memory/peak"} - {n for n in numbers if n.startswith("time/")}:
                assert b[name] == pytest.approx(a[name], rel=ROUNDING, abs=ROUNDING), name
        for name, weight in one["weights"].items():
            torch.testing.assert_close(weight, process["weights"][name], atol=ROUNDING, rtol=0)


def assert_same_record(a: Found, b: Found) -> None:
    floats = ("kl", "student_top", "teacher_top")
    assert {n: v for n, v in a.items() if n not in floats} == {
        n: v for n, v in b.items() if n not in floats
    }
    assert (a["kl"] is None) == (b["kl"] is None)
    assert (a["kl"] or []) == pytest.approx(b["kl"] or [], abs=ROUNDING, rel=1e-4)
    for name in ("student_top", "teacher_top"):
        ours, theirs = (
            [(top["token"], top["prob"]) for position in r[name] or [] for top in position]
            for r in (a, b)
        )
        assert [token for token, _ in ours] == [token for token, _ in theirs]
        assert [p for _, p in ours] == pytest.approx([p for _, p in theirs], abs=ROUNDING)
