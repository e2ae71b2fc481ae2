"""Two gloo processes under DDP make the run that one process makes; groups span them."""

import pytest
import torch

from tests.trainer.launch import assert_same_run, assert_two_processes, launched, write_models
from tests.trainer.process_run import CASES, INSPECTED, ROLLOUTS

PRESETS = (
    *("dapo", "grpo+bikl", "sc-grpo-disagreement", "sc-grpo-entropy"),
    *(case for case in CASES if case not in ("saved", "resumed")),
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    write_models(folder)
    (one,) = launched(folder, "one", PRESETS)
    return one, launched(folder, "ddp", [*PRESETS, "saved", "resumed"])


@pytest.mark.parametrize("preset", PRESETS)
def test_one_process_equals_two(runs, preset):
    one, two = runs
    found = [process[preset] for process in two]
    assert_two_processes(found, "DistributedDataParallel")
    assert_same_run(one[preset], found)


def test_a_resumed_run_is_the_uninterrupted_one(runs):
    for process in runs[1]:
        saved, resumed = process["saved"], process["resumed"]
        assert resumed["records"] == [r for r in saved["records"] if r["step"] >= 2]
        for name, weight in saved["weights"].items():
            assert torch.equal(weight, resumed["weights"][name])


def test_each_step_has_one_row_with_the_mean_loss_of_all_processes(runs):
    one, two = runs
    assert_two_processes([process["sc-grpo"] for process in two], "DistributedDataParallel")
    for found in (one["sc-grpo"], two[0]["sc-grpo"]):
        rows, logged = found["rows"], found["logged"]
        assert [row["step"] for row in rows] == [row["step"] for row in logged] == [1, 2, 3]
        for row, log in zip(rows, logged, strict=True):
            assert row["loss"] == pytest.approx(log["loss"], abs=1e-7)


def test_the_processes_have_unequal_work(runs):
    one, two = runs
    for case in ("sc-grpo", "other-model", "initial", "sc-grpo-memory", "sc-grpo-mean4"):
        assert two[0][case]["divergences"] != two[1][case]["divergences"]
    for step in range(3):
        records = [r for r in one["sc-grpo"]["records"] if r["step"] == step]
        halves = records[: ROLLOUTS // 2], records[ROLLOUTS // 2 :]
        longest = [max(r["length"] for r in half) for half in halves]
        assert longest[0] != longest[1]
        if step == 1:
            assert any(r["kl"] for r in halves[0]) and not any(r["kl"] for r in halves[1])


def test_so_many_rollouts_are_inspected_as_were_asked_for(runs):
    one, two = runs
    for process in (one, *two):
        records = process["inspected"]["records"]
        for step in range(3):
            of_step = [r for r in records if r["step"] == step]
            inspected = [i for i, r in enumerate(of_step) if r["student_top"]]
            assert inspected == [i for i, r in enumerate(of_step) if r["kl"] and i < INSPECTED]
    assert INSPECTED > ROLLOUTS // 2
    assert not any(r["student_top"] for r in one["sc-grpo"]["records"])


def test_the_runs_exercise_what_they_are_about(runs):
    one = runs[0]
    records = {preset: found["records"] for preset, found in one.items()}
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
    for preset, found in one.items():
        assert max(found["moved"].values()) > 1e-3, preset
