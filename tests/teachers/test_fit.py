"""Teacher prompts that never fit are said, once, and refused where nothing is left."""

import re
from dataclasses import dataclass

import pytest
import torch

from scgrpo.rollouts import Rollouts, StepContext
from scgrpo.teachers.memory import Reference
from scgrpo.teachers.prompts import TeacherPrompts
from scgrpo.teachers.teacher import show
from scgrpo.world import OneProcess
from tests.trainer.runs import config, trainer
from tests.trainer.tiny import tiny_tokenizer

USER = [{"role": "user", "content": "Q1"}]
GUIDE = "abcdefghij" * 4 + "{reference}"
NUMBERS = r"\(.*guide of 47 tokens \+ prompt of 5 \+ completion of {} > 60\)"
"""The guide: a token each of 40 letters, of the two marks of the system message, of "[...]"."""


@dataclass(frozen=True)
class Half(OneProcess):
    """One of two processes, of which the other counted and saw something else."""

    others: tuple[int, int, int] = (0, 0, 0)
    seen: tuple = ()
    process_index: int = 1
    num_processes: int = 2

    def sum(self, values):
        return values + torch.tensor(self.others)

    def gather_objects(self, items):
        return [*self.seen, *items]


def told(caplog):
    """The warnings so far."""
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def shown(*lengths, step=0, world=None, prompts=None, references=None):
    """Teacher prompts of rollouts of such lengths, with room for 60 tokens."""
    builder = prompts or TeacherPrompts(tiny_tokenizer(), GUIDE, 60)
    count = len(lengths)
    rollouts = Rollouts(
        [{}] * count,
        [USER] * count,
        [builder.template.ids(USER)] * count,
        [[9] * length for length in lengths],
        torch.zeros(count, 1),
    )
    reward_NG = torch.zeros(1, count)
    context = StepContext(rollouts, reward_NG, reward_NG, world or OneProcess(), step=step)
    default = [[Reference([9, 9])]] * count
    return show(context, default if references is None else references, builder)


def test_a_first_step_without_any_teacher_is_refused_naming_the_lengths():
    sentence = "no teacher prompt of the first step fits " + NUMBERS.format(20)
    with pytest.raises(ValueError, match=sentence) as refused:
        shown(20, 30)
    assert str(refused.value).count(". ") == 0 and "teacher_max_length" in str(refused.value)


def test_some_that_do_not_fit_are_told_once(caplog):
    builder = TeacherPrompts(tiny_tokenizer(), GUIDE, 60)
    found = shown(5, 20, prompts=builder)
    assert [len(prompts) for prompts in found.ids] == [1, 0]
    (line,) = told(caplog)
    assert re.match("1 of 2 rollouts stay plain.*" + NUMBERS.format(20), line)
    shown(5, 30, prompts=builder)
    shown(30, 30, step=1, prompts=builder)
    assert not told(caplog)


def test_later_steps_are_not_refused(caplog):
    found = shown(20, 30, step=7)
    assert told(caplog)[0].startswith("2 of 2 rollouts stay plain")
    assert found.ids == [[], []]
    assert found.logged == {"credit/reference_truncated": 2.0}


def test_rollouts_that_need_no_teacher_do_not_count(caplog):
    reference = [Reference([9])]
    shown(20, 5, references=[[], reference])
    shown(20, 20, references=[[], []])
    assert not told(caplog)
    with pytest.raises(ValueError, match="no teacher prompt"):
        shown(20, 5, references=[reference, []])


def test_a_rollout_counts_once_however_many_references_it_has(caplog):
    reference = Reference([9])
    shown(20, 5, references=[[reference] * 3, [reference]])
    assert told(caplog)[0].startswith("1 of 2 rollouts stay plain")


def test_a_warning_in_the_first_batch_does_not_save_the_second(caplog):
    builder = TeacherPrompts(tiny_tokenizer(), GUIDE, 60)
    shown(5, 20, prompts=builder)
    assert len(told(caplog)) == 1
    with pytest.raises(ValueError, match="no teacher prompt"):
        shown(20, prompts=builder)


def test_all_processes_agree(caplog):
    misfit = TeacherPrompts(tiny_tokenizer(), GUIDE, 60).misfit(USER, [0] * 5, 33)
    # What the other process teaches saves this one; the first process is the one to warn.
    shown(20, world=Half(others=(0, 3, 0)))
    shown(5, world=Half(others=(3, 3, 3), seen=(misfit,)))
    assert not told(caplog)
    shown(5, world=Half(others=(3, 3, 3), seen=(misfit,), process_index=0))
    assert told(caplog)[0].startswith("3 of 4 rollouts stay plain")
    with pytest.raises(ValueError, match=NUMBERS.format(33)):
        shown(20, world=Half(others=(3, 3, 3), seen=(misfit,)))
    # A process with nothing to teach refuses as the other does.
    with pytest.raises(ValueError, match=NUMBERS.format(33)):
        shown(20, references=[[]], world=Half(others=(3, 3, 3), seen=(misfit,)))


def test_a_run_whose_guide_never_fits(tmp_path):
    guide = "abcdefghij" * 10 + "{reference}"
    run = trainer(config(tmp_path, guide=guide, teacher_max_length=60))
    with pytest.raises(ValueError, match=r"fits \(guide of 107 tokens \+ prompt of "):
        run.train()


def test_the_lengths_add_up():
    builder = TeacherPrompts(tiny_tokenizer(), GUIDE, 60)
    student = builder.template.ids(USER)
    fits = builder.build(USER, student, [], 60 - 42 - 5)
    assert len(fits.ids) == 42 + 5
    assert builder.misfit(USER, student, 0)[:2] == (47, 5)
    assert re.search(NUMBERS.format(9), f"({builder.misfit(USER, student, 9)})")
