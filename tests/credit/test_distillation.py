"""The distilling teacher: without dropout, each prompt once, in passes that all processes make."""

from dataclasses import replace

import pytest
import torch

from scgrpo.config import Method
from scgrpo.credit.build import build_credit
from scgrpo.credit.heads import PolicyHeads
from scgrpo.credit.use import Update
from scgrpo.teachers.policy import Policy
from tests.credit.parts import host_of, rollouts_of
from tests.credit.test_in_update import padded_left, surrogate_of
from tests.credit.test_reading import shapes_of
from tests.credit.test_scoring import dense_log_probs
from tests.processes import in_processes
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


TEXTS = ["ab=1", "cd=22", "e=3", "fgh=4", "ab=21", "c=22", "ee=3", "h=4444"]
REWARDS = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
"""A partial group, and one in which nobody is taught."""


def distilled(world=None, method=METHOD, model=None, masks=True, **options):
    """Loss, gradient, what was logged, and the shapes of the teacher's passes."""
    model = model or tiny_model().eval()
    credit = build_credit(host_of(method, world, model, **options))
    batch, step = rollouts_of(TEXTS, REWARDS, 4, world)
    batch |= credit.attach(batch, step).columns
    if masks:
        batch["credit_active"][:, 1] = False  # as of a tool's token
    shapes = shapes_of(model)
    batch = padded_left(batch)
    loss = credit.loss(batch, lambda: surrogate_of(model, batch), Update(0, 1))
    loss.value.backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert loss.seconds["teacher_pass"] > 0
    return loss.value.item(), gradient, loss.logged, shapes[:-1]


@pytest.mark.parametrize("score_tokens", [1, 40, 16384])
def test_loss_and_gradient_are_those_of_prompts_in_front_of_each(score_tokens):
    value, gradient, logged, plain = distilled(share_prompts=False)
    assert len(plain) == 1 and logged["distill/tokens"] == 4 + 5 + 3 + 5 - 4
    found, its_gradient, its_logged, _ = distilled(score_tokens=score_tokens)
    assert found == pytest.approx(value, rel=1e-5)
    assert gradient.norm() > 0
    assert (its_gradient - gradient).norm() < 1e-5 * gradient.norm()
    assert its_logged == pytest.approx(logged, rel=1e-4)


def test_each_prompt_of_a_micro_batch_is_read_once():
    """One rollout is shown another than the rest; all but the last token, then what is left."""
    *_, shapes = distilled()
    assert shapes[-2:] == [(2, 10), (4, 5)]


def test_passes_are_of_so_many_tokens():
    *_, shapes = distilled(share_prompts=False, score_tokens=40)
    assert len(shapes) > 1 and all(rows * length <= 40 for rows, length in shapes)


def test_a_process_that_teaches_nobody_makes_the_passes_of_the_other():
    _, _, logged, _ = distilled(masks=False)
    models = [tiny_model().eval() for _ in range(2)]
    found = in_processes(
        2, lambda world: distilled(world, model=models[world.process_index], masks=False)
    )
    assert len(found[0][3]) == len(found[1][3]) > 1
    assert found[1][2] == found[0][2] == pytest.approx(logged, rel=1e-4)
