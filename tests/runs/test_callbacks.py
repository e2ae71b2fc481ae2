"""Evaluations beside training, given what they use and no trainer."""

from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset

from scgrpo.files import read_jsonl
from scgrpo.run_folder import RunFolder
from scgrpo.runs.callbacks import Evaluating, EvaluationCallback, HeldOut, Host
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

REWARDS = [0.5, 0.5, 0.0, 0.0]


def verify(completions: list[Any], **_: Any) -> list[float]:
    assert len(completions) == 4
    return REWARDS


@pytest.fixture
def logged() -> list[dict[str, float]]:
    return []


@pytest.fixture
def waits() -> list[int]:
    return []


@pytest.fixture
def told() -> list[Evaluating]:
    return []


@pytest.fixture
def callback(
    tmp_path: Any, logged: list[dict[str, float]], waits: list[int], told: list[Evaluating]
) -> EvaluationCallback:
    held_out = HeldOut(
        {"heldout": Dataset.from_list(list(tiny_dataset(2)))}, verify,
        every=3, k=2, seed=0, sampling={}, max_new_tokens=3, solve_threshold=0.5,
    )  # fmt: skip
    model = tiny_model()
    tokenizer, wait = tiny_tokenizer(), lambda: waits.append(1)
    host = Host(lambda: model, tokenizer, logged.append, wait, told.append)
    return EvaluationCallback(held_out, host, RunFolder(tmp_path))


def state(step: int, *, first: bool = True) -> Any:
    return SimpleNamespace(global_step=step, max_steps=7, is_world_process_zero=first)


def test_numbers_and_records(callback: EvaluationCallback, logged: list[dict[str, float]]) -> None:
    callback.on_step_end(None, state(3), None)
    # Problems (1/2, 1/2) and (0, 0): the mean is 1/4, and from 1/2 on the first is solved.
    assert logged == [{"eval/heldout/avg@2": 0.25}, {"eval/heldout/pass@2": 0.5}]
    rows = read_jsonl(callback.folder.evaluation(3))
    assert [row["reward"] for row in rows] == REWARDS
    assert all(row["step"] == 3 and row["max_new_tokens"] == 3 for row in rows)


def test_when_it_evaluates(callback: EvaluationCallback, logged: list[Any]) -> None:
    callback.on_train_begin(None, state(5), None)  # resumed
    assert not logged
    callback.on_train_begin(None, state(0), None)
    for step in range(1, 8):
        callback.on_step_end(None, state(step), None)
    files = sorted(file.name for file in (callback.folder.path / "eval").iterdir())
    assert files == [f"step_{step:06d}.jsonl" for step in (0, 3, 6, 7)]


def test_it_tells_what_it_does_at_once_and_how_far_it_is(
    callback: EvaluationCallback, told: list[Evaluating]
) -> None:
    callback.on_step_end(None, state(3), None)
    assert {(now.step, now.split, now.problems, now.k) for now in told} == {(3, "heldout", 2, 2)}
    # One batch of four samples, no completion of which is longer than three tokens.
    drawn = len(told) - 3
    assert 1 <= drawn <= 3
    assert [now.token for now in told] == [0, *range(1, drawn + 1), 0, 0]
    assert [now.done for now in told] == [0] * (drawn + 1) + [4, 4]
    assert told[0].samples == 4


def test_other_processes_wait_only(
    callback: EvaluationCallback, logged: list[Any], waits: list[int], told: list[Evaluating]
) -> None:
    callback.on_step_end(None, state(3, first=False), None)
    assert waits == [1] and not logged and not told
