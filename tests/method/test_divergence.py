"""Dense divergence against the oracle."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scgrpo.method import disagreement, entry_clipped, per_token_divergence
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


def test_the_vocabulary_is_the_last_of_any_dimensions():
    torch.manual_seed(1)
    teacher, student = torch.randn(2, 2, 3, 5)
    found = per_token_divergence(teacher, student)
    flat = per_token_divergence(teacher.view(6, 5), student.view(6, 5))
    torch.testing.assert_close(found, flat.view(2, 3))


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
    with pytest.raises(ValueError, match="beta"):
        per_token_divergence(torch.zeros(2), torch.zeros(2), "jsd", beta=0.0)


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


@given(
    LOGITS,
    st.sampled_from(KINDS),
    st.sampled_from([0.01, 0.05, 0.3]),
    st.sampled_from([0.5, 2.0]),
    st.floats(0.1, 0.9),
)
def test_clipped_entries_equal_the_oracles(logits, kind, clip, temperature, beta):
    """Value and gradient, each entry clipped before the sum."""
    teacher, student = torch.from_numpy(logits / 4)
    student.requires_grad_()
    of = partial(per_token_divergence, teacher, student, kind, beta=beta, temperature=temperature)
    clipped, whole = of(reduce=partial(entry_clipped, clip=clip)).unbind(-1)
    found = torch.autograd.grad(clipped.sum(), student)[0]
    plain, terms = of(), of(reduce=lambda terms: terms)
    torch.testing.assert_close(whole.clamp(min=0), plain.detach())
    for row in range(3):
        if (terms[row] - clip).abs().min() < 1e-5:
            continue  # on the edge float32 and float64 may clip differently
        pair = teacher[row].tolist(), student[row].tolist()
        value, gradient = oracle.entry_clipped(*pair, clip, kind, beta, temperature)
        assert clipped[row].item() == pytest.approx(value, rel=2e-4, abs=2e-5)
        np.testing.assert_allclose(found[row], gradient, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracles_clipped_gradient_is_autograds(kind):
    """The oracle itself, in float64, by an expression that shares nothing with it."""
    torch.manual_seed(0)
    teacher, student = torch.randn(2, 9, dtype=torch.float64)
    student.requires_grad_()
    p, q = (teacher / 0.7).softmax(0), (student / 0.7).softmax(0)
    mixed = 0.3 * p + 0.7 * q
    parts = {
        "forward": p * (p / q).log(),
        "reverse": q * (q / p).log(),
        "bidirectional": 0.3 * p * (p / q).log() + 0.7 * q * (q / p).log(),
        "jsd": 0.3 * p * (p / mixed).log() + 0.7 * q * (q / mixed).log(),
    }[kind]
    value = parts.clamp(max=0.02).sum()
    found = oracle.entry_clipped(teacher.tolist(), student.tolist(), 0.02, kind, 0.3, 0.7)
    assert found[0] == pytest.approx(value.item(), rel=1e-9)
    assert 0 < (parts > 0.02).sum() < 9
    np.testing.assert_allclose(found[1], torch.autograd.grad(value, student)[0], atol=1e-12)


def test_clipped_entries_by_hand():
    """p = (3/4, 1/4), q = (1/2, 1/2): parts 3/4 ln 3/2 = 0.304 and 1/4 ln 1/2 = -0.173."""
    teacher, student = torch.tensor([0.75, 0.25]).log(), torch.tensor([0.5, 0.5]).log()
    student.requires_grad_()
    clip = partial(entry_clipped, clip=0.05)
    clipped, whole = per_token_divergence(teacher, student, reduce=clip).unbind(-1)
    assert whole.item() == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), rel=1e-6)
    assert clipped.item() == pytest.approx(0.05 + 0.25 * np.log(0.5), rel=1e-6)
    # Of -1/4 log q_2 alone: 1/4 (q - e_2).
    found = torch.autograd.grad(clipped, student)[0]
    torch.testing.assert_close(found, torch.tensor([0.125, -0.125]))


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
