"""Heads of models that scale or cap their logits: equal to the model's own, in float64."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import log_softmax
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)
from trl.trainer.utils import add_fused_lm_head

from scgrpo.credit import heads as heads_module
from scgrpo.credit.heads import PolicyHeads
from scgrpo.teachers.policy import Policy

SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MODELS = {
    "plain": (LlamaForCausalLM, LlamaConfig, {}),
    "scaled down": (GraniteForCausalLM, GraniteConfig, {"logits_scaling": 3.0}),
    "capped": (Gemma2ForCausalLM, Gemma2Config, {"final_logit_softcapping": 2.0}),
    "scaled": (CohereForCausalLM, CohereConfig, {"logit_scale": 0.3}),
}
TEMPERATURE = 0.7
STUDENT, TEACHER, COMPLETION = [3, 4, 5], [6, 7, 8, 9, 3, 4, 5], [10, 11, 12, 13]


def made(name, seed):
    kind, config, special = MODELS[name]
    torch.manual_seed(seed)
    return kind(config(**SMALL, **special)).eval()


def log_probs(model, prompt):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *COMPLETION]])).logits
    return log_softmax(logits[0, len(prompt) - 1 : -1].double() / TEMPERATURE, -1)


def states(model, prompt):
    with torch.no_grad():
        return Policy.of(model, lambda: model).hidden_states([prompt], [COMPLETION])


@pytest.mark.parametrize("name", MODELS)
def test_statistics_are_the_models_own(name):
    model = made(name, 0)
    log_q = log_probs(model, STUDENT)
    heads = PolicyHeads(model, model, TEMPERATURE)
    ids = torch.tensor(COMPLETION)
    logp, entropy = heads.statistics(states(model, STUDENT), ids)
    torch.testing.assert_close(
        logp.double(), log_q.gather(1, ids[:, None])[:, 0], atol=2e-5, rtol=0
    )
    expected = -(log_q.exp() * log_q).sum(-1)
    torch.testing.assert_close(entropy.double(), expected, atol=2e-5, rtol=0)
    probs, top = heads.top_tokens(states(model, STUDENT))
    torch.testing.assert_close(probs.double(), log_q.exp().topk(5).values, atol=2e-5, rtol=0)
    assert torch.equal(top, log_q.topk(5).indices)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["forward", "reverse", "bidirectional", "jsd"])
def test_each_model_has_its_own_head(name, kind):
    """Teacher and student scale differently; beta is not a half, so that no two may be swapped."""
    student, teacher, beta = made("plain", 0), made(name, 1), 0.2
    log_p, log_q = log_probs(teacher, TEACHER), log_probs(student, STUDENT)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()

    def kl(log_a, log_b):
        return (log_a.exp() * (log_a - log_b)).sum(-1)

    expected = {
        "forward": kl(log_p, log_q),
        "reverse": kl(log_q, log_p),
        "bidirectional": beta * kl(log_p, log_q) + (1 - beta) * kl(log_q, log_p),
        "jsd": beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m),
    }[kind]
    heads = PolicyHeads(student, teacher, TEMPERATURE, kind, beta)
    found = heads.divergence(states(teacher, TEACHER), states(student, STUDENT))
    torch.testing.assert_close(found.double(), expected, atol=5e-5, rtol=1e-4)


@pytest.mark.parametrize("learns", [False, True])
def test_logits_that_stand_at_once_are_bounded(monkeypatch, learns):
    """Twice as many with a gradient, and a chunk of one token where even that is too large."""
    model, seen = made("plain", 0), []
    linear = heads_module.linear
    monkeypatch.setattr(
        heads_module, "linear", lambda x, w: seen.append(x[..., 0].numel()) or linear(x, w)
    )
    torch.manual_seed(1)
    teacher, student = torch.randn(2, 9, 32)
    heads, ids = PolicyHeads(model, model, TEMPERATURE), torch.arange(9)

    def asked():
        seen.clear()
        with torch.set_grad_enabled(learns):
            found = [heads.divergence(teacher, student)]
        with torch.no_grad():
            found += [heads.logps(student, ids, of_teacher=False)]
            found += [*heads.statistics(student, ids), *heads.top_tokens(student)]
            found += [heads.disagreement(torch.stack([teacher, student]))]
        return found, list(seen)

    whole, rows = asked()
    assert set(rows) == {9, 18}
    monkeypatch.setitem(heads_module._LOGITS, "cpu", 2 * SMALL["vocab_size"])
    parts, rows = asked()
    divergences = 2 * 3 if learns else 2 * 5  # chunks of four tokens, or of two, for both models
    assert max(rows[:divergences]) == (4 if learns else 2) and max(rows[divergences:]) == 2
    assert sum(rows) == 9 * 7
    for found, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(found, expected)
    monkeypatch.setitem(heads_module._LOGITS, "cpu", 1)
    assert max(asked()[1]) == 2  # one token, by each of two teachers


@pytest.mark.parametrize("of_head", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("of_states", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("in_float32", [False, True])
def test_it_is_known_when_trls_head_rounds_logits(of_head, of_states, mixed, in_float32):
    """Their log-probs are further from ours than those of float32 can be."""
    model = made("plain", 0)
    add_fused_lm_head(model, cast_lm_head_to_fp32=in_float32)
    torch.manual_seed(1)
    states = torch.randn(1, 200, 32).to(of_states)
    model.base_model.forward = lambda **_: SimpleNamespace(last_hidden_state=states)
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().to(of_head))
    ids = torch.randint(3, 40, (1, 200))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        found = model(labels=ids, fused_lm_head=True).log_probs[0]
        heads = PolicyHeads(model, model, 1.0, in_float32=in_float32)
        rounds = heads.rounds(states[0, :-1])
        exact = heads.logps(states[0, :-1], ids[0, 1:], of_teacher=False)
    assert rounds == bool((found - exact).abs().max() > 1e-4)
