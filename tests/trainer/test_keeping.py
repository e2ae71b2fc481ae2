"""Checkpoints are removed by their steps."""

import os

import pytest

from scgrpo.trainer.checkpoint import checkpoints, step_of
from scgrpo.trainer.keeping import rotate, set_later_aside
from scgrpo.trainer.manifest import begin_checkpoint, finish_checkpoint


def make(folder, *steps, finished=True, clock=None):
    for step in steps:
        place = folder / f"checkpoint-{step}"
        begin_checkpoint(place)
        if finished:
            finish_checkpoint(place, step, 1, model_only=False)
        os.utime(place, (clock or step, clock or step))


def steps(folder):
    return sorted(map(step_of, checkpoints(folder)))


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (None, None, [2, 4, 10, 12]),
        (0, None, [2, 4, 10, 12]),
        (4, None, [2, 4, 10, 12]),
        (3, None, [4, 10, 12]),
        (1, None, [12]),
        (2, 2, [2, 12]),
        (1, 2, [2, 12]),
        (1, 12, [12]),
    ],
)
def test_the_oldest_go_and_the_newest_and_the_best_stay(tmp_path, limit, best, kept):
    make(tmp_path, 2, 4, 10, 12)
    rotate(tmp_path, limit, 12, best and str(tmp_path / f"checkpoint-{best}"))
    assert steps(tmp_path) == kept


def test_a_clock_that_was_set_back_changes_nothing(tmp_path):
    for step, clock in ((2, 9000), (4, 8000), (6, 10)):
        make(tmp_path, step, clock=clock)
    rotate(tmp_path, 2, 6, None)
    assert steps(tmp_path) == [4, 6]


def test_unfinished_ones_and_those_of_a_future_that_is_run_again_go_first(tmp_path):
    make(tmp_path, 2, 6, 8)
    make(tmp_path, 3, finished=False)
    make(tmp_path, 4)  # just written, after going on from 2
    rotate(tmp_path, 4, 4, None)
    assert steps(tmp_path) == [2, 4, 6, 8]
    rotate(tmp_path, 3, 4, None)
    assert steps(tmp_path) == [2, 4, 8]
    rotate(tmp_path, 2, 4, None)
    assert steps(tmp_path) == [2, 4]


def test_later_ones_are_kept_under_another_name(tmp_path):
    make(tmp_path, 2, 4, 6)
    make(tmp_path, 8, finished=False)
    aside = set_later_aside(tmp_path, 2)
    assert sorted(p.name for p in aside) == ["left-checkpoint-4", "left-checkpoint-6"]
    assert steps(tmp_path) == [2] and not (tmp_path / "checkpoint-8").exists()
    make(tmp_path, 4)
    assert [p.name for p in set_later_aside(tmp_path, 2)] == ["left-checkpoint-4"]
    names = {"checkpoint-2", "left-checkpoint-4", "left-checkpoint-6"}
    assert {p.name for p in tmp_path.iterdir()} == names
