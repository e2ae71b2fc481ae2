"""The heads on a GPU, in bfloat16, against float64 and against the CPU."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import log_softmax

from scgrpo.credit.heads import PolicyHeads
from tests.credit.test_scoring import policy_of, random_requests, scorer_of
from tests.trainer.tiny import tiny_model

TOKENS, HIDDEN, VOCABULARY = 256, 64, 151_936
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def head(weight, **fields):
    text = SimpleNamespace(vocab_size=len(weight), model_type="none")
    model = SimpleNamespace(
        get_output_embeddings=lambda: SimpleNamespace(weight=weight, bias=None),
        config=SimpleNamespace(get_text_config=lambda: text),
    )
    return PolicyHeads(model, model, temperature=0.7, **fields)


def numbers(dtype):
    generator = torch.Generator().manual_seed(0)
    weight, student, noise = (
        torch.randn(rows, HIDDEN, generator=generator) for rows in (VOCABULARY, TOKENS, TOKENS)
    )
    weight, teacher = weight * 0.3, student + 0.2 * noise
    return [x.to("cuda", dtype) for x in (weight, teacher, student)]


def log_probs(hidden, weight):
    return log_softmax(hidden.double() @ weight.double().T / 0.7, -1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kind", ["forward", "reverse", "bidirectional"])
def test_divergence_is_that_of_float64(dtype, kind):
    weight, teacher, student = numbers(dtype)
    with torch.no_grad():
        found = head(weight, kind=kind, beta=0.3).divergence(teacher, student)
    log_p, log_q = log_probs(teacher, weight), log_probs(student, weight)
    forward = (log_p.exp() * (log_p - log_q)).sum(-1)
    reverse = (log_q.exp() * (log_q - log_p)).sum(-1)
    truth = {"forward": forward, "reverse": reverse, "bidirectional": 0.3 * forward + 0.7 * reverse}
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), truth[kind], rtol=2e-3, atol=1e-4)


def test_statistics_and_likeliest_tokens():
    weight, _, student = numbers(torch.bfloat16)
    log_q = log_probs(student, weight)
    ids = torch.randint(VOCABULARY, (TOKENS,), device="cuda")
    with torch.no_grad():
        logp, entropy = head(weight).statistics(student, ids)
        probability, likeliest = head(weight).top_tokens(student)
    torch.testing.assert_close(logp.double(), log_q[range(TOKENS), ids], rtol=2e-3, atol=1e-3)
    torch.testing.assert_close(
        entropy.double(), -(log_q.exp() * log_q).sum(-1), rtol=2e-3, atol=1e-3
    )
    torch.testing.assert_close(
        probability.double(), log_q.exp().gather(1, likeliest), rtol=2e-3, atol=1e-6
    )
    assert (likeliest[:, 0] == log_q.argmax(-1)).float().mean() > 0.98


@pytest.mark.parametrize("clip", [None, 1e-4])
def test_gradient_is_that_of_the_cpu(clip):
    gradients = []
    for device in ("cpu", "cuda"):
        weight, teacher, student = (x.to(device) for x in numbers(torch.float32))
        student.requires_grad_()
        clipped, _ = head(weight, clip=clip).clipped_divergence(teacher, student)
        clipped.sum().backward()
        gradients.append(student.grad.cpu())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=2e-3, atol=2e-5)


def test_comparison_is_that_of_float64():
    """Not yet run on a card."""
    weight, teacher, student = numbers(torch.float32)
    ids = torch.arange(TOKENS, device="cuda")
    kl, theirs, own = head(weight).comparison(torch.stack([teacher, student]), student, ids)
    log_p, log_q = log_probs(teacher, weight), log_probs(student, weight)
    expected = (log_p.exp() * (log_p - log_q)).sum(-1)
    torch.testing.assert_close(kl[0].double(), expected, rtol=2e-3, atol=1e-5)
    assert kl[1].max() < 1e-5
    for found, log_probs_MV in ((theirs[0], log_p), (theirs[1], log_q), (own, log_q)):
        exact = log_probs_MV[range(TOKENS), ids]
        torch.testing.assert_close(found.double(), exact, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("offloads", [False, True])
def test_states_wait_on_the_cpu_where_asked(offloads):
    """Not yet run on a card."""
    model, requests = tiny_model().eval().cuda(), random_requests(3, teachers=2)
    asked = [torch.ones(len(r.completion), dtype=torch.bool, device="cuda") for r in requests]
    found, _ = scorer_of(model, offloads_states=offloads).taught(requests, asked)
    for request, one in zip(requests, found, strict=True):
        assert one.states.is_cuda != offloads and one.states.is_pinned() == offloads
        with torch.no_grad():
            states = policy_of(model).hidden_states(
                request.teacher_prompts, [request.completion] * 2
            )
        torch.testing.assert_close(one.states.cuda().flatten(0, 1), states, rtol=1e-3, atol=1e-4)


def test_the_vocabulary_never_stands_in_full():
    weight, teacher, student = numbers(torch.bfloat16)
    teacher, student = teacher.repeat(64, 1), student.repeat(64, 1)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with torch.no_grad():
        head(weight).divergence(teacher, student)
    taken = torch.cuda.max_memory_allocated() - before
    assert taken < len(student) * VOCABULARY * 2 / 4  # a quarter of the logits in bfloat16
