"""The distilling teacher reads without dropout, whatever mode it was left in."""

from dataclasses import replace

import pytest
import torch

from scgrpo.config import Method
from scgrpo.credit.build import build_credit
from scgrpo.credit.heads import PolicyHeads
from scgrpo.credit.use import Update
from scgrpo.teachers.policy import Policy
from tests.credit.parts import host_of, rollouts_of
from tests.credit.test_scoring import dense_log_probs
from tests.trainer.tiny import tiny_model

METHOD = Method(use="loss", reference_set="partial")


def test_the_teacher_drops_nothing_out():
    student, teacher = tiny_model().eval(), tiny_model(seed=1, attention_dropout=0.5).train()
    credit = build_credit(host_of(METHOD, model=student))
    taught = replace(
        credit.use,
        teacher=Policy.of(teacher, lambda: teacher),
        heads=PolicyHeads(student, teacher, 1.0),
    )
    batch, step = rollouts_of(["ab=1", "cd=22", "e=3", "fgh=4"], [1.0, 0.0, 1.0, 0.0], 4)
    attached = replace(credit, use=taught).attach(batch, step)
    batch |= attached.columns
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    surrogate = lambda: student(input_ids=ids).logits.sum() * 0  # noqa: E731
    loss = replace(credit, use=taught).loss(batch, surrogate, Update(0, 1))
    assert teacher.training
    teacher.eval()
    kl = []
    for row, (shown,) in enumerate(attached.prompts.ids):
        completion = step.rollouts.completion_ids[row]
        log_p = dense_log_probs(teacher, shown, completion)
        log_q = dense_log_probs(student, step.rollouts.prompt_ids[row], completion)
        kl.append((log_p.exp() * (log_p - log_q)).sum(-1))
    assert loss.logged["distill/divergence"] == pytest.approx(torch.cat(kl).mean().item(), rel=1e-4)
