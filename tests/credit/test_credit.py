"""A step from rollouts to the credit of each token, without a trainer."""

import numpy as np
import pytest
import torch

from scgrpo.config import Method
from scgrpo.credit.build import build_credit, new_memory
from scgrpo.credit.use import Update
from scgrpo.method import Route
from tests.credit.parts import TOKENIZER, host_of, rollouts_of
from tests.credit.test_scoring import dense_log_probs
from tests.processes import in_processes
from tests.trainer.tiny import tiny_model

TEXTS = ["ab=1", "cd=22", "e=3", "fgh=4", "a=1", "bc=2", "d=3", "ee=4", "x", "yy", "z=1", "w=22"]
REWARDS = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
"""A partial group, an unsolved one, and a solved one."""


def credited(method=None, world=None, cut=1, **options):
    """Batch with its credit, in one micro-batch or several, and what was attached and logged."""
    credit = build_credit(host_of(method or Method(), world, **options))
    batch, step = rollouts_of(TEXTS, REWARDS, 4, world)
    attached = credit.attach(batch, step, new_memory(method or Method()))
    batch |= attached.columns
    size = len(batch["advantages"]) // cut
    micro_batches = [
        {name: values[i * size : (i + 1) * size] for name, values in batch.items()}
        for i in range(cut)
    ]
    weighed = credit.weigh(micro_batches, per_step=cut)
    joined = {
        name: torch.cat([columns[name] for columns in weighed.columns])
        for name in weighed.columns[0]
    }
    return batch | joined, attached, weighed.logged


def dense_kl(model, attached, row):
    """D of one rollout from full logits behind both prompts."""
    (shown,) = attached.prompts.ids[row]
    completion = attached.step.rollouts.completion_ids[row]
    log_p = dense_log_probs(model, shown, completion)
    log_q = dense_log_probs(model, attached.step.rollouts.prompt_ids[row], completion)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def test_routes_and_references_are_those_of_section_4():
    batch, attached, _ = credited()
    assert batch["route"].tolist() == [Route.PARTIAL] * 4 + [Route.NONE] * 4 + [Route.PLAIN] * 4
    reference = batch["reference"].tolist()
    assert reference[0] == 2 and reference[2] == 0 and set(reference[1::2][:2]) <= {0, 2}
    shared = {r for r in reference[4:8] if r >= 0}
    assert len(shared) == 1 and reference[shared.pop()] == -1
    assert reference[8:] == [-1] * 4
    assert [logged for logged in attached.logged if "route" in logged] == [
        "credit/route_plain", "credit/route_partial", "credit/route_none"
    ]  # fmt: skip


def test_the_teacher_reads_the_reference_and_the_students_own_message():
    _, attached, _ = credited()
    for row, prompts in enumerate(attached.prompts.ids[:4]):
        reference = TEXTS[attached.references.shown[row][0].number]
        assert [TOKENIZER.decode(ids) for ids in prompts] == [
            f"<sys>{reference}<end><user>Q0<end><bot>"
        ]


def test_divergence_threshold_weight_and_advantage_in_this_order():
    model = tiny_model().eval()
    batch, attached, logged = credited(model=model)
    taught = [row for row in range(8) if attached.prompts.ids[row]]
    kl = {row: dense_kl(model, attached, row) for row in taught}
    assert len(kl) == 7
    for row, expected in kl.items():
        found = batch["kl"][row]
        torch.testing.assert_close(found[: len(expected)].double(), expected, atol=2e-5, rtol=1e-4)
        assert not found[len(expected) :].any()
    c = float(np.percentile(np.concatenate([d.numpy() for d in kl.values()]), 75))
    assert logged["credit/threshold_c"] == pytest.approx(c, rel=1e-4)
    for row in range(4):
        weight = kl[row] / (kl[row] + c)
        expected = weight * float(batch["base_advantage"][row])
        found = batch["advantages"][row, : len(expected)].double()
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert torch.equal(batch["weight"][8:], torch.ones_like(batch["weight"][8:]))


@pytest.mark.parametrize("cut", [2, 3])
def test_the_cut_does_not_matter(cut):
    whole, _, logged = credited()
    parts, _, logged_parts = credited(cut=cut)
    assert torch.equal(whole["advantages"], parts["advantages"])
    assert logged_parts["credit/kl_p75"] == logged["credit/kl_p75"]


@pytest.mark.parametrize("processes", [2, 3])
def test_neither_do_the_processes(processes):
    """Groups of four span three processes of four rollouts, and two of six."""
    whole, attached, logged = credited()
    models = [tiny_model().eval() for _ in range(processes)]
    found = in_processes(
        processes, lambda world: credited(world=world, model=models[world.process_index])
    )
    for name in ("advantages", "kl", "weight"):
        parts = [batch[name] for batch, _, _ in found]
        width = max(part.shape[1] for part in parts)
        padded = [torch.nn.functional.pad(p, (0, width - p.shape[1])) for p in parts]
        mask = whole["completion_mask"].bool()
        together = torch.cat(padded)
        torch.testing.assert_close(together[mask], whole[name][mask], atol=1e-5, rtol=1e-4)
    for _, other, logged_there in found:
        assert other.logged == pytest.approx(attached.logged, abs=1e-5)
        assert logged_there == pytest.approx(logged, abs=1e-5)


def test_a_memory_is_returned_and_shown_where_nothing_is_solved():
    method = Method(memory_size=2)
    credit = build_credit(host_of(method))
    batch, step = rollouts_of(TEXTS[:4], [1.0, 0.0, 1.0, 0.0], 4)
    empty = new_memory(method)
    memory = credit.attach(batch, step, empty).references.memory
    assert len(empty) == 0 and len(memory) == 2
    batch, step = rollouts_of(["aa", "bb", "cc", "dd"], [0.0] * 4, 4)
    again = credit.attach(batch, step, memory)
    texts = {TOKENIZER.decode(shown[0].ids) for shown in again.references.shown}
    assert texts <= {TEXTS[0], TEXTS[2]} and again.references.diversity_sign.tolist() == [-1]


def test_methods_without_a_use_leave_the_batch_as_it_is():
    batch, _, logged = credited_plainly(Method(teacher="none", use="none"))
    assert logged == {} and "weight" not in batch and batch["advantages"].dim() == 1


def credited_plainly(method):
    credit = build_credit(host_of(method))
    batch, step = rollouts_of(TEXTS, REWARDS, 4)
    before = batch["advantages"]
    attached = credit.attach(batch, step)
    batch |= attached.columns
    assert torch.equal(batch["advantages"], before)
    weighed = credit.weigh([batch], per_step=1)
    assert weighed.columns == [{}]
    return batch, attached, weighed.logged


def test_a_loss_term_is_the_dense_divergence_and_teaches_the_student():
    method = Method(use="loss", reference_set="partial", loss_coefficient=0.5)
    model = tiny_model().eval()
    credit = build_credit(host_of(method, model=model))
    batch, step = rollouts_of(TEXTS, REWARDS, 4)
    attached = credit.attach(batch, step)
    batch |= attached.columns
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)

    def surrogate():
        return model(input_ids=ids).logits.sum() * 0 + 2.0

    loss = credit.loss(batch, surrogate, Update(step=0, accumulation_steps=1))
    means = [dense_kl(model, attached, row).mean() for row in range(4)]
    expected = 2.0 + 0.5 * float(sum(means)) / len(TEXTS)
    assert loss.value.item() == pytest.approx(expected, rel=1e-4)
    loss.value.backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    tokens = sum(len(step.rollouts.completion_ids[row]) for row in range(4))
    assert loss.logged["distill/tokens"] == tokens and "teacher_pass" in loss.seconds
