"""The chunked divergence: value and gradient of the dense one, without its memory."""

from functools import partial

import pytest
import torch
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode
from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

from scgrpo.method import (
    chunked_comparison,
    chunked_disagreement,
    chunked_divergence,
    chunked_statistics,
    chunked_top_tokens,
    disagreement,
    entry_clipped,
    per_token_divergence,
)
from scgrpo.method.divergence import KINDS


def heads(tokens=37, vocabulary=53, teacher_width=11, student_width=7, dtype=torch.float32):
    torch.manual_seed(0)
    shapes = (
        (tokens, teacher_width),
        (vocabulary, teacher_width),
        (tokens, student_width),
        (vocabulary, student_width),
        (vocabulary,),
        (vocabulary,),
    )
    return [torch.randn(shape).to(dtype) for shape in shapes]


def head_of(weight, bias=None):
    return lambda hidden: linear(hidden, weight, bias)


def chunked(
    hidden_p, head_p, hidden_q, head_q, kind="forward", bias_p=None, bias_q=None, **options
):
    return chunked_divergence(
        hidden_p, head_of(head_p, bias_p), hidden_q, head_of(head_q, bias_q), kind, **options
    )


def dense(hidden_p, head_p, hidden_q, head_q, kind, bias_p=None, bias_q=None, **options):
    return per_token_divergence(
        linear(hidden_p, head_p, bias_p), linear(hidden_q, head_q, bias_q), kind, **options
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 8, 37, 1000])
@pytest.mark.parametrize("with_bias", [False, True])
def test_value_and_gradient_of_the_dense_one(kind, chunk, with_bias):
    hidden_p, head_p, hidden_q, head_q, bias_p, bias_q = heads()
    biases = (bias_p, bias_q) if with_bias else (None, None)
    learned = [hidden_q, head_q, *([bias_q] if with_bias else [])]
    for tensor in (*learned, hidden_p, head_p):
        tensor.requires_grad_()
    options = {"beta": 0.3, "temperature": 0.7}
    expected = dense(hidden_p.detach(), head_p.detach(), hidden_q, head_q, kind, *biases, **options)
    found = chunked(
        hidden_p, head_p, hidden_q, head_q, kind, *biases, chunk_tokens=chunk, **options
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    upstream = torch.randn(len(found))
    wanted = torch.autograd.grad(expected, learned, upstream)
    got = torch.autograd.grad(found, learned, upstream, retain_graph=True)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    to_teacher = torch.autograd.grad(found, [hidden_p, head_p], upstream, allow_unused=True)
    assert to_teacher == (None, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 8, 1000])
def test_clipped_entries_are_the_dense_ones(kind, chunk):
    """Value, and gradient in float64's hidden states and head."""
    hidden_p, head_p, hidden_q, head_q, *_ = heads(dtype=torch.float64)
    learned = [hidden_q.requires_grad_(), head_q.requires_grad_()]
    clip = partial(entry_clipped, clip=0.05)
    expected = dense(hidden_p, head_p, hidden_q, head_q, kind, reduce=clip)
    found = chunked(hidden_p, head_p, hidden_q, head_q, kind, reduce=clip, chunk_tokens=chunk)
    assert found.shape == (37, 2) and (expected[:, 0] < expected[:, 1]).any()
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected[:, 0].sum(), learned)
    got = torch.autograd.grad(found[:, 0].sum(), learned)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_no_tokens_have_no_clipped_divergence():
    hidden_p, head_p, hidden_q, head_q, *_ = heads(tokens=0)
    clip = partial(entry_clipped, clip=0.05)
    assert chunked(hidden_p, head_p, hidden_q, head_q, reduce=clip).shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    tensors = heads(dtype=dtype)[:4]
    with torch.no_grad():
        found = chunked(*tensors, chunk_tokens=5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, dense(*tensors, "forward"), atol=1e-2, rtol=1e-2)


def test_no_tokens():
    hidden_p, head_p, hidden_q, head_q, *_ = heads(tokens=0)
    assert chunked(hidden_p, head_p, hidden_q, head_q).shape == (0,)


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation makes."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize("gradient", [False, True])
def test_no_tensor_of_tokens_by_vocabulary(gradient):
    hidden_p, head_p, hidden_q, head_q, *_ = heads(tokens=200, vocabulary=300)
    hidden_q.requires_grad_(gradient)
    with LargestTensor() as seen, torch.set_grad_enabled(gradient):
        value = chunked(hidden_p, head_p, hidden_q, head_q, chunk_tokens=20)
        if gradient:
            value.sum().backward()
    assert seen.elements == 20 * 300
    with LargestTensor() as seen, torch.no_grad():
        dense(hidden_p, head_p, hidden_q, head_q, "forward")
    assert seen.elements == 200 * 300


@pytest.mark.parametrize(("kind", "trl_beta"), [("forward", 0.0), ("reverse", 1.0), ("jsd", 0.3)])
def test_agrees_with_trls_kernel(kind, trl_beta):
    hidden_p, head_p, hidden_q, head_q, *_ = heads()
    hidden_q.requires_grad_()
    beta = trl_beta if kind == "jsd" else 0.5
    ours = chunked(hidden_p, head_p, hidden_q, head_q, kind, beta=beta, temperature=1.3)
    theirs, _ = ChunkedDivergenceFunction.apply(
        hidden_q, head_q, None, hidden_p, head_p, None, trl_beta, 1.3
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    gradients = [torch.autograd.grad(x.sum(), hidden_q)[0] for x in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_top_tokens_are_those_of_the_softmax():
    _, _, hidden, head, _, bias = heads()
    probs, ids = chunked_top_tokens(
        hidden, head_of(head, bias), 4, temperature=0.5, chunk_tokens=10
    )
    expected = (linear(hidden, head, bias) / 0.5).softmax(-1).topk(4)
    torch.testing.assert_close(probs, expected.values)
    assert torch.equal(ids, expected.indices)


def test_chunks_hold_at_least_one_token():
    with pytest.raises(ValueError, match="chunk_tokens is 0"):
        chunked(*heads()[:4], chunk_tokens=0)


@pytest.mark.parametrize("chunk", [1, 10, 37, 1000])
def test_statistics_are_those_of_the_softmax(chunk):
    _, _, hidden, head, _, bias = heads()
    ids = torch.randint(0, 53, (37,))
    logp, entropy = chunked_statistics(
        hidden, head_of(head, bias), ids, temperature=0.5, chunk_tokens=chunk
    )
    log_q = (linear(hidden, head, bias) / 0.5).log_softmax(-1)
    torch.testing.assert_close(logp, log_q[torch.arange(37), ids])
    torch.testing.assert_close(entropy, torch.distributions.Categorical(logits=log_q).entropy())


@pytest.mark.parametrize("chunk", [1, 10, 1000])
def test_disagreement_is_the_dense_one(chunk):
    _, _, _, head, _, bias = heads()
    hidden = torch.randn(3, 37, 7)
    found = chunked_disagreement(hidden, head_of(head, bias), temperature=0.5, chunk_tokens=chunk)
    torch.testing.assert_close(found, disagreement(linear(hidden, head, bias), temperature=0.5))


@pytest.mark.parametrize("chunk", [1, 10, 1000])
def test_comparison_is_the_dense_one_of_each_teacher(chunk):
    _, teacher_head, hidden, head, teacher_bias, bias = heads()
    shown, ids = torch.randn(3, 37, 11), torch.randint(0, 53, (37,))
    both = shown, head_of(teacher_head, teacher_bias), hidden, head_of(head, bias)
    kl, theirs, own = chunked_comparison(*both, ids, temperature=0.5, chunk_tokens=chunk)
    logits = linear(hidden, head, bias)
    log_q = (logits / 0.5).log_softmax(-1)
    torch.testing.assert_close(own, log_q[torch.arange(37), ids])
    for teacher in range(3):
        taught = linear(shown[teacher], teacher_head, teacher_bias)
        dense = per_token_divergence(taught, logits, temperature=0.5)
        torch.testing.assert_close(kl[teacher], dense)
        log_p = (taught / 0.5).log_softmax(-1)
        torch.testing.assert_close(theirs[teacher], log_p[torch.arange(37), ids])


def test_comparison_asks_each_head_of_each_token_once():
    seen = []

    def counted(name, head):
        return lambda chunk: (seen.extend((name, x) for x in chunk[:, 0].tolist()), head(chunk))[1]

    student, shown = torch.randn(9, 4), torch.randn(2, 9, 4)
    of = [counted(name, head_of(torch.randn(6, 4))) for name in "pq"]
    ids = torch.zeros(9, dtype=torch.int64)
    kl, _, _ = chunked_comparison(shown, of[0], student, of[1], ids, chunk_tokens=4)
    assert len(seen) == len(set(seen)) == 27 and kl.shape == (2, 9)
    nothing = chunked_comparison(shown[:, :0], of[0], student[:0], of[1], ids[:0])
    assert [tuple(x.shape) for x in nothing] == [(2, 0), (2, 0), (0,)]
