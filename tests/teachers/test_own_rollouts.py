"""What is shown of whom, whatever the process."""

import pytest
import torch

from scgrpo.config import Method
from scgrpo.method import Route
from scgrpo.teachers.demonstrations import Demonstrations
from scgrpo.teachers.own_rollouts import OwnRollouts
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.teacher import NoTeacher, OtherModel
from tests.credit.parts import TOKENIZER, rollouts_of
from tests.processes import in_processes

TEXTS = ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op"]
REWARDS = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def prompts(limit=256):
    return TeacherPrompts(TOKENIZER, "{reference}", max_length=limit)


def shown_in(world, teacher=None):
    teacher = teacher or OwnRollouts(Method(), prompts())
    _, step = rollouts_of(TEXTS, REWARDS, 4, world)
    library = teacher.library(step, None)
    route_N = teacher.route(step, library)
    references = teacher.references(step, route_N, library, None)
    return route_N.tolist(), references, teacher.prompts(step, references)


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_references_do_not_depend_on_the_processes(processes):
    found = in_processes(processes, shown_in)
    assert all(routes == [Route.PARTIAL, Route.NONE] for routes, _, _ in found)
    numbers = [n for _, references, _ in found for n in references.numbers.tolist()]
    assert numbers[:2] == [1, 0] and set(numbers[2:4]) <= {0, 1}
    (shared,) = {n for n in numbers[4:] if n >= 0}
    assert 4 <= shared < 8 and numbers[shared] == -1
    _, whole, _ = shown_in(in_processes(1, lambda world: world)[0])
    assert numbers == whole.numbers.tolist()
    texts = [
        TOKENIZER.decode(row[0]) if row else None for _, _, shown in found for row in shown.ids
    ]
    for number, text in zip(numbers, texts, strict=True):
        assert (text is None) == (number < 0)
        assert text is None or text.startswith(f"<sys>{TEXTS[number]}<end>")


def test_what_is_cut_is_counted_over_all_processes():
    short = OwnRollouts(Method(), prompts(limit=9))
    found = in_processes(2, lambda world: shown_in(world, short))
    counts = {shown.logged["credit/reference_truncated"] for _, _, shown in found}
    assert counts == {7.0}


def test_demonstrations_come_from_the_rows():
    _, step = rollouts_of(TEXTS, REWARDS, 4, rows={"demonstration": "xyz"})
    teacher = Demonstrations(Method(teacher="demonstration", use="loss"), prompts())
    references = teacher.references(step, torch.zeros(2), teacher.library(step, None), None)
    assert references.numbers.tolist() == [-1] * 8
    for row in teacher.prompts(step, references).ids:
        assert TOKENIZER.decode(row[0]).startswith("<sys>xyz<end><user>")


def test_another_model_reads_what_the_student_read_and_nobody_reads_nothing():
    _, step = rollouts_of(TEXTS, REWARDS, 4)
    for teacher, expected in (
        (OtherModel(Method()), [[ids] for ids in step.rollouts.prompt_ids]),
        (NoTeacher(Method()), [[]] * 8),
    ):
        library = teacher.library(step, None)
        references = teacher.references(step, teacher.route(step, library), library, None)
        assert list(teacher.prompts(step, references).ids) == expected
        assert references.diversity_sign is None
