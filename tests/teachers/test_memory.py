"""What is recalled for a group."""

import torch

from scgrpo.config import Method
from scgrpo.rollouts import Rollouts, StepContext
from scgrpo.teachers.memory import Reference, Remembered, TrajectoryMemory
from scgrpo.teachers.own_rollouts import OwnRollouts
from scgrpo.world import OneProcess


def test_what_a_group_wrote_again_is_not_recalled_for_it():
    known = [("x", [Remembered(0, [1, 2]), Remembered(0, [3])])]
    memory = TrajectoryMemory(size=4, max_age=8).after(0, known)
    rollouts = Rollouts(
        rows=[{"problem_id": "x"}] * 4,
        prompts=[""] * 4,
        prompt_ids=[[0]] * 4,
        completion_ids=[[1, 2], [5], [6], [7]],
        reward_per_func=torch.zeros(4, 1),
    )
    step = StepContext(rollouts, torch.zeros(2, 2), torch.zeros(2, 2), OneProcess(), step=1)
    library = OwnRollouts(Method(), None).library(step, memory)
    recalled = [[r.completion_ids for r in known] for known in library.recalled]
    assert recalled == [[[3]], [[1, 2], [3]]]


def test_length_of_a_reference_is_what_the_model_wrote():
    assert Reference([4, 5, 6]).written == 3
    assert Reference([4, 5, 6], [1, 0, 1]).written == 2
