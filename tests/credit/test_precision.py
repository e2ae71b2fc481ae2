"""Half precision ends at the hidden states: what is made of them is float32, on every path."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import log_softmax

from scgrpo.credit.heads import PolicyHeads
from scgrpo.method import credit_weight, disagreement, per_token_divergence
from scgrpo.method.divergence import KINDS
from tests.trainer.runs import config, keep_records, trainer
from tests.trainer.tiny import tiny_model

BOUND = 1e-4
"""Nats by which D may miss the float64 value of the same hidden states and weights."""
TYPES = [torch.float32, torch.bfloat16, torch.float16]
TEMPERATURE = 0.7


def head(dtype, seed=0, bias=False, **config):
    """A model that is a head over 5,000 tokens, with logits as spread as a trained model's."""
    generator = torch.Generator().manual_seed(seed)
    linear = torch.nn.Linear(256, 5000, bias=bias)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(5000, 256, generator=generator) * 0.15)
        if bias:
            linear.bias.copy_(torch.randn(5000, generator=generator) * 0.5)
    text = SimpleNamespace(vocab_size=5000, model_type="any", **config)
    return SimpleNamespace(
        get_output_embeddings=lambda: linear.to(dtype),
        config=SimpleNamespace(get_text_config=lambda: text),
        linear=linear.to(dtype),
    )


def states(dtype, count=200, gap=0.1):
    """Hidden states of teacher and student."""
    generator = torch.Generator().manual_seed(1)
    student = torch.randn(count, 256, generator=generator)
    return (student + gap * torch.randn(count, 256, generator=generator)).to(dtype), student.to(
        dtype
    )


def exact_logits(hidden, model):
    linear = model.linear
    logits = hidden.double() @ linear.weight.detach().double().T
    return logits if linear.bias is None else logits + linear.bias.detach().double()


def exact_divergence(teacher, student, kind="forward", beta=0.5):
    """From logits in float64, whatever `per_token_divergence` rounds to."""
    p, q = (log_softmax(x / TEMPERATURE, -1) for x in (teacher, student))

    def kl(a, b):
        return (a.exp() * (a - b)).sum(-1)

    if kind == "jsd":
        m = (beta * p.exp() + (1 - beta) * q.exp()).log()
        return beta * kl(p, m) + (1 - beta) * kl(q, m)
    forward, reverse = kl(p, q), kl(q, p)
    both = beta * forward + (1 - beta) * reverse
    return {"forward": forward, "reverse": reverse, "bidirectional": both}[kind]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["divergence", "_by_kernel"])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_divergence_is_that_of_the_same_numbers_in_float64(dtype, path, kind, bias):
    model, (shown, read) = head(dtype, bias=bias), states(dtype)
    heads = PolicyHeads(model, model, TEMPERATURE, kind, beta=0.3)
    found = getattr(heads, path)(shown, read)
    exact = exact_divergence(exact_logits(shown, model), exact_logits(read, model), kind, beta=0.3)
    assert found.dtype == torch.float32
    assert exact.max() > 0.01
    assert (found.double() - exact).abs().max() < BOUND


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_weights_where_teacher_and_student_nearly_agree(dtype):
    """The threshold is at its floor, where rounded logits would decide over the weight."""
    model, (shown, read) = head(dtype), states(dtype, gap=0.004)
    found = PolicyHeads(model, model, TEMPERATURE).divergence(shown, read)
    exact = exact_divergence(exact_logits(shown, model), exact_logits(read, model))
    c = torch.tensor(1e-4)
    error = (credit_weight(found, c) - credit_weight(exact.float(), c)).abs()
    assert exact.median() < 5e-4
    assert error.mean() < 5e-3
    linear = model.linear
    rounded = per_token_divergence(linear(shown), linear(read), temperature=TEMPERATURE)
    if dtype == torch.bfloat16:
        assert (credit_weight(rounded, c) - credit_weight(exact.float(), c)).abs().mean() > 0.05


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_statistics_disagreement_and_top_tokens(dtype):
    model, (shown, read) = head(dtype), states(dtype)
    heads, ids = PolicyHeads(model, model, TEMPERATURE), torch.arange(200)
    log_q = log_softmax(exact_logits(read, model) / TEMPERATURE, -1)
    logp, entropy = heads.statistics(read, ids)
    assert (logp - log_q.gather(1, ids[:, None])[:, 0]).abs().max() < BOUND
    assert (entropy + (log_q.exp() * log_q).sum(-1)).abs().max() < BOUND
    both = torch.stack([shown, read])
    log_p = log_softmax(exact_logits(both, model) / TEMPERATURE, -1)
    mean = log_p.exp().mean(0).log()
    apart = (log_p.exp() * (log_p - mean)).sum(-1).mean(0)
    assert (heads.disagreement(both) - apart).abs().max() < BOUND
    assert (disagreement(log_p.float()) - apart).abs().max() < BOUND
    probs, top = heads.top_tokens(read)
    assert (probs - log_q.exp().gather(1, top)).abs().max() < BOUND / 10
    assert (probs[:, 0] - log_q.exp().amax(-1)).abs().max() < BOUND / 10


def test_scale_and_soft_cap_are_applied_to_float32_logits():
    model = head(torch.bfloat16, logit_scale=0.7, final_logit_softcapping=3.0)
    shown, read = states(torch.bfloat16)
    cap = [3 * (0.7 * exact_logits(x, model) / 3).tanh() for x in (shown, read)]
    for path in ("divergence", "_by_kernel"):
        found = getattr(PolicyHeads(model, model, TEMPERATURE), path)(shown, read)
        assert (found - exact_divergence(*cap)).abs().max() < BOUND


@pytest.mark.parametrize("in_float32", [False, True])
@pytest.mark.parametrize("path", ["divergence", "_by_kernel"])
def test_mixed_precision_rounds_what_is_multiplied_and_nothing_else(path, in_float32):
    """As in the student's own head: both factors, unless TRL's option keeps them whole."""
    model, (shown, read) = head(torch.float32), states(torch.float32)
    heads = PolicyHeads(model, model, TEMPERATURE, in_float32=in_float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = getattr(heads, path)(shown, read)
    rounded = head(torch.bfloat16)
    exact = {
        True: exact_divergence(exact_logits(shown, model), exact_logits(read, model)),
        False: exact_divergence(
            *(exact_logits(x.bfloat16(), rounded) for x in (shown, read)),
        ),
    }
    assert (found - exact[in_float32]).abs().max() < BOUND
    assert (found - exact[not in_float32]).abs().max() > BOUND


@pytest.mark.parametrize("path", ["divergence", "_by_kernel"])
def test_a_float32_head_over_half_precision_states_is_not_rounded(path):
    model, (shown, read) = head(torch.float32), states(torch.bfloat16)
    found = getattr(PolicyHeads(model, model, TEMPERATURE), path)(shown, read)
    exact = exact_divergence(exact_logits(shown, model), exact_logits(read, model))
    assert (found - exact).abs().max() < BOUND


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("mixed", [False, True])
def test_gradients_of_both_paths_agree(dtype, mixed):
    found = []
    for path in ("divergence", "_by_kernel"):
        model, (shown, read) = head(dtype, bias=True), states(dtype, count=40)
        read.requires_grad_(True)
        with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            getattr(PolicyHeads(model, model, TEMPERATURE), path)(shown, read).sum().backward()
        found.append((read.grad, model.linear.weight.grad, model.linear.bias.grad))
        assert all(grad.dtype == dtype for grad in found[-1])
    for ours, kernels in zip(*found, strict=True):
        scale = kernels.float().abs().max()
        tolerance = 1e-5 if dtype == torch.float32 and not mixed else 0.02
        assert (ours.float() - kernels.float()).abs().max() < tolerance * scale


@pytest.mark.parametrize("cast", [False, True])
def test_a_bfloat16_policy_in_training(tmp_path, cast):
    """D of the records is that of the policy's own hidden states, in float64."""
    args = config(tmp_path, max_steps=1, rollout_steps=1, cast_lm_head_to_fp32=cast)
    run = trainer(args, model=tiny_model().bfloat16())
    heads = run._credit.use.scorer.heads
    seen = []
    comparison = PolicyHeads.comparison

    def watched(self, shown, read, token_ids):
        found = comparison(self, shown, read, token_ids)
        weight = self.student.get_output_embeddings().weight.detach().double()
        logits = [x.double() @ weight.T for x in (shown, read)]
        p, q = (log_softmax(x / self.temperature, -1) for x in logits)
        seen.append((found[0] - (p.exp() * (p - q)).sum(-1)).abs().max().item())
        assert shown.dtype == read.dtype == torch.bfloat16
        assert self.student.get_output_embeddings().weight.dtype == (
            torch.float32 if cast else torch.bfloat16
        )
        return found

    assert heads.in_float32 == cast
    records = keep_records(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PolicyHeads, "comparison", watched)
        run.train()
    assert seen and max(seen) < BOUND
    assert any(r["kl"] for r in records)
