"""Dense divergence against the oracle."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scgrpo.method import disagreement, per_token_divergence
from scgrpo.method.divergence import KINDS
from tests.method import oracle

LOGITS = arrays(np.float32, (2, 3, 7), elements=st.floats(-20, 20, width=32))


@given(LOGITS, st.sampled_from(KINDS), st.sampled_from([0.3, 1.0, 2.5]), st.floats(0.1, 0.9))
def test_equals_oracle(logits, kind, temperature, beta):
    teacher, student = torch.from_numpy(logits)
    found = per_token_divergence(teacher, student, kind, beta=beta, temperature=temperature)
    expected = [
        oracle.divergence(p, q, kind, beta, temperature)
        for p, q in zip(logits[0], logits[1], strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_by_hand():
    teacher, student = torch.tensor([0.75, 0.25]).log(), torch.tensor([0.5, 0.5]).log()
    forward = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    reverse = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    assert per_token_divergence(teacher, student).item() == pytest.approx(forward, rel=1e-6)
    assert per_token_divergence(teacher, student, "reverse").item() == pytest.approx(reverse)
    both = per_token_divergence(teacher, student, "bidirectional", beta=0.25).item()
    assert both == pytest.approx(0.25 * forward + 0.75 * reverse, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_never_negative_nor_infinite(kind):
    extreme = torch.tensor([1e4, -1e4, 0.0])
    cases = [(extreme, extreme), (extreme, -extreme), (extreme, torch.zeros(3))]
    for teacher, student in cases:
        value = per_token_divergence(teacher, student, kind)
        assert value.isfinite() and value >= 0
    expected = oracle.divergence([1e4, -1e4, 0.0], [-1e4, 1e4, 0.0])
    assert per_token_divergence(extreme, -extreme).item() == pytest.approx(expected, rel=1e-6)
    torch.manual_seed(0)
    same = torch.randn(1000, 50)
    assert (per_token_divergence(same, same, kind) >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_upcast_once(dtype):
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 9, 30).to(dtype)
    found = per_token_divergence(teacher, student)
    assert found.dtype == torch.float32
    assert torch.equal(found, per_token_divergence(teacher.float(), student.float()))


def test_symmetric_jsd_is_bounded_by_log_two():
    value = per_token_divergence(torch.tensor([1e4, 0.0]), torch.tensor([0.0, 1e4]), "jsd")
    assert value.item() == pytest.approx(np.log(2), rel=1e-6)


def test_unknown_kind_and_beta():
    with pytest.raises(ValueError, match="divergence is 'tv'; choose one of forward"):
        per_token_divergence(torch.zeros(2), torch.zeros(2), "tv")
    with pytest.raises(ValueError, match="beta between 0 and 1, got 1"):
        per_token_divergence(torch.zeros(2), torch.zeros(2), "jsd", beta=1.0)


@given(LOGITS, st.sampled_from(KINDS), st.sampled_from([0.5, 1.0, 2.0]), st.floats(0.1, 0.9))
def test_gradient_equals_the_oracles(logits, kind, temperature, beta):
    teacher, student = torch.from_numpy(logits / 4)
    student.requires_grad_()
    value = per_token_divergence(teacher, student, kind, beta=beta, temperature=temperature)
    found = torch.autograd.grad(value.sum(), student)[0]
    for row in range(3):
        if value[row] == 0:
            continue  # clamped from below, or equal: no slope to compare
        expected = oracle.divergence_gradient(
            teacher[row].tolist(), student[row].tolist(), kind, beta, temperature
        )
        np.testing.assert_allclose(found[row], expected, rtol=2e-3, atol=2e-5)


@given(LOGITS, st.sampled_from([0.5, 1.0]))
def test_disagreement_equals_oracle(logits, temperature):
    found = disagreement(torch.from_numpy(logits), temperature=temperature)
    for row in range(3):
        expected = oracle.disagreement([logits[0][row], logits[1][row]], temperature)
        assert found[row].item() == pytest.approx(expected, rel=2e-4, abs=2e-5)


def test_disagreement_of_opposite_teachers_is_log_j_and_of_equal_ones_zero():
    certain = 1e4 * torch.eye(3)
    assert disagreement(certain).item() == pytest.approx(np.log(3), rel=1e-6)
    assert disagreement(certain[:1].expand(3, 3)).item() == 0
