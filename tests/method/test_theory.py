"""Section 7: what distillation from several teachers converges to, and why a weight differs."""

import pytest
import torch

from scgrpo.method import per_token_divergence

MU = torch.tensor([0.5, 0.3, 0.2])


def minimiser(teacher_logits, kind):
    """Student that minimises E_j divergence(p_j, q), found by gradient descent."""
    logits = torch.zeros(teacher_logits.shape[1], dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=300, tolerance_grad=1e-9)

    def objective():
        optimizer.zero_grad()
        student = logits.expand_as(teacher_logits)
        loss = (MU * per_token_divergence(teacher_logits, student, kind)).sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return logits.softmax(-1).detach()


@pytest.fixture
def teachers():
    torch.manual_seed(0)
    return 1.5 * torch.randn(3, 6)


def test_forward_kl_gives_the_arithmetic_mean(teachers):
    expected = (MU[:, None] * teachers.softmax(-1)).sum(0)
    torch.testing.assert_close(minimiser(teachers, "forward"), expected, atol=1e-3, rtol=1e-2)


def test_reverse_kl_gives_the_normalised_geometric_mean(teachers):
    expected = (MU[:, None] * teachers.log_softmax(-1)).sum(0).softmax(-1)
    torch.testing.assert_close(minimiser(teachers, "reverse"), expected, atol=1e-3, rtol=1e-2)


def test_disagreement_splits_off_and_has_no_gradient(teachers):
    """E_j KL(p_j || q) = E_j KL(p_j || pbar) + KL(pbar || q)."""
    mean = (MU[:, None] * teachers.softmax(-1)).sum(0).log()
    disagreement = (MU * per_token_divergence(teachers, mean.expand_as(teachers))).sum()
    for student in torch.randn(5, 6):
        total = (MU * per_token_divergence(teachers, student.expand_as(teachers))).sum()
        rest = per_token_divergence(mean, student)
        torch.testing.assert_close(total, disagreement + rest, atol=1e-5, rtol=1e-5)


def test_mean_of_two_solutions_solves_nothing_half_of_the_time():
    """Solutions AB and CD: the per-token mean puts half of its mass on AD and CB."""
    first = torch.tensor([0.5, 0.0, 0.5, 0.0])
    second = torch.tensor([0.0, 0.5, 0.0, 0.5])
    paths = first[:, None] * second[None, :]
    solves = paths[0, 1] + paths[2, 3]
    fails = paths[0, 3] + paths[2, 1]
    assert solves.item() == fails.item() == 0.5
