"""FSDP2, ZeRO-2 and ZeRO-3 on two gloo processes, for real, make the run of one process."""

import importlib.util
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import torch

from tests.trainer.launch import ROOT, assert_same_run, assert_two_processes, launched, write_models
from tests.trainer.process_run import CASES

DEEPSPEED, LOWEST = Path(sys.prefix) / "distributed", Path(sys.prefix) / "lowest"
HERE = importlib.util.find_spec("deepspeed") is not None
STRATEGIES = (
    "fsdp2",
    pytest.param(
        "fsdp2-lowest",
        marks=pytest.mark.skipif(not LOWEST.is_dir(), reason="make slow installs the oldest"),
    ),
    *(
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                not DEEPSPEED.is_dir() and not HERE, reason="make slow installs DeepSpeed"
            ),
        )
        for name in ("zero2", "zero3")
    ),
)
WRAPPED = {"fsdp2": "FSDPQwen3ForCausalLM", "zero2": "DeepSpeedEngine", "zero3": "DeepSpeedEngine"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process of a strategy found; "one" for one process."""
    folder = tmp_path_factory.mktemp("sharded")
    write_models(folder)

    @cache
    def found(strategy):
        packages = {"fsdp2-lowest": [LOWEST], "zero2": [DEEPSPEED], "zero3": [DEEPSPEED]}
        return launched(folder, strategy, CASES, packages.get(strategy, ()))

    return found


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("saved", "resumed")])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_process_equals_two(found, strategy, case):
    processes = [process[case] for process in found(strategy)]
    assert_two_processes(processes, WRAPPED[strategy.removesuffix("-lowest")])
    for process in processes:
        facts = process["facts"]
        assert all(facts["sharded"]) == strategy.startswith("fsdp2")
        assert all(facts["partitioned"]) == (strategy == "zero3")
        assert facts.get("stage") == {"zero2": 2, "zero3": 3}.get(strategy)
    assert_same_run(found("one")[0][case], processes)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_resumed_run_is_the_uninterrupted_one(found, strategy):
    for process in found(strategy):
        saved, resumed = process["saved"], process["resumed"]
        assert resumed["records"] == [r for r in saved["records"] if r["step"] >= 2]
        for name, weight in saved["weights"].items():
            assert torch.equal(weight, resumed["weights"][name])


@pytest.mark.skipif(not LOWEST.is_dir(), reason="make slow installs the oldest")
def test_the_oldest_accelerate_is_the_oldest_that_is_admitted(found):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bound,) = [d for d in project["dependencies"] if d.startswith("accelerate")]
    for process in found("fsdp2-lowest"):
        assert bound == f"accelerate>={process['grpo']['facts']['accelerate']}"
