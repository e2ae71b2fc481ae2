"""What is recalled for a group."""

import torch
from accelerate import Accelerator

from scgrpo.config import Method
from scgrpo.rollouts import Rollouts
from scgrpo.teachers.lessons import OwnRollouts, Reference
from scgrpo.teachers.memory import Remembered, TrajectoryMemory


def test_what_a_group_wrote_again_is_not_recalled_for_it():
    memory = TrajectoryMemory(size=4, max_age=8)
    memory.add("x", [Remembered(0, [1, 2]), Remembered(0, [3])])
    rollouts = Rollouts(
        rows=[{"problem_id": "x"}] * 4,
        prompts=[""] * 4,
        completion_ids=[[1, 2], [5], [6], [7]],
    )
    teacher = OwnRollouts(Method(), Accelerator(cpu=True), None, memory)
    teacher.route(rollouts, torch.zeros(2, 2), step=1)
    recalled = [[r.completion_ids for r in known] for known in rollouts.recalled]
    assert recalled == [[[3]], [[1, 2], [3]]]


def test_length_of_a_reference_is_what_the_model_wrote():
    assert Reference([4, 5, 6]).written == 3
    assert Reference([4, 5, 6], [1, 0, 1]).written == 2
