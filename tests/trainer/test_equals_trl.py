"""Where all weights are 1, SC-GRPO is TRL's GRPO to the bit; elsewhere it is its surrogate.

To the bit with TRL's micro-batches; `test_recut.py` has what other ones change, which is rounding.
"""

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from scgrpo.method import clipped_surrogate, sequence_mean, token_mean
from tests.trainer.runs import config, trainer, vowels
from tests.trainer.tiny import tiny_dataset, tiny_model, tiny_tokenizer

TRLS_CUT = {"sort_by_length": False, "skip_without_gradient": False}
MEASURED = ("loss", "grad_norm", "reward", "entropy")


def one(kl):
    """A weight that changes nothing."""
    return torch.ones_like(kl)


def trl_run(args, reward=vowels):
    """The same run by TRL's own trainer."""
    own = {
        name: getattr(args, name)
        for name, spec in GRPOConfig.__dataclass_fields__.items()
        if spec.init
    }
    own["generation_batch_size"] = None
    run = GRPOTrainer(
        tiny_model(),
        reward,
        GRPOConfig(**own),
        train_dataset=tiny_dataset(),
        processing_class=tiny_tokenizer(),
    )
    run.train()
    return run


def assert_same_run(ours, theirs):
    for name in MEASURED:
        logged = [
            [row[name] for row in run.state.log_history if name in row] for run in (ours, theirs)
        ]
        assert logged[0] == logged[1]
    assert [row["loss"] for row in ours.state.log_history if "loss" in row]
    pairs = zip(ours.model.parameters(), theirs.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_preset_grpo_is_trl(tmp_path):
    args = config(tmp_path, "grpo", **TRLS_CUT)
    ours = trainer(args)
    ours.train()
    assert_same_run(ours, trl_run(args))


@pytest.mark.parametrize(
    "loss_type",
    ["grpo", "dapo", *(pytest.param(x, marks=pytest.mark.slow) for x in ("bnpo", "dr_grpo"))],
)
def test_weights_of_one_are_trl(tmp_path, loss_type):
    args = config(
        tmp_path,
        weight=f"{__name__}:one",
        reference_set="partial",
        loss_type=loss_type,
        per_device_train_batch_size=8,
        gradient_accumulation_steps=4,
        num_iterations=2,
        **TRLS_CUT,
    )
    ours = trainer(args)
    ours.train()
    shares = [row.get("credit/route_partial", 0) for row in ours.state.log_history]
    assert max(shares) > 0
    assert_same_run(ours, trl_run(args))


def test_the_fifth_with_the_highest_entropy_is_trls_where_a_step_is_one_micro_batch(tmp_path):
    own, trls = (
        config(tmp_path, "entropy-top20", dynamic_sampling=False, max_steps=2, **more)
        for more in ({}, {"top_entropy_quantile": 0.2})
    )
    ours = trainer(own)
    ours.train()
    theirs = trl_run(trls)
    for name in ("loss", "grad_norm"):
        logged = [
            [row[name] for row in run.state.log_history if name in row] for run in (ours, theirs)
        ]
        assert any(logged[0]) and logged[0] == pytest.approx(logged[1], rel=1e-4, abs=1e-7)
    for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("aggregation", ["grpo", "bnpo"])
def test_trl_loss_of_weighted_advantages_is_the_method(tmp_path, aggregation):
    fields = {"loss_type": aggregation, "epsilon": 0.1, "epsilon_high": 0.3}
    run = trainer(config(tmp_path, **fields | TRLS_CUT))
    run.model.train()
    batch = next(iter(run.get_train_dataloader()))
    run.current_gradient_accumulation_steps = 1
    inputs = dict(run._prepare_inputs(batch))
    prompt = inputs["prompt_ids"].shape[1]
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    logits = run.model(input_ids=ids, attention_mask=mask).logits[:, prompt - 1 : -1]
    logp = logits.log_softmax(-1).gather(2, ids[:, prompt:, None])[..., 0]
    old_logp = logp.detach() + 0.3 * torch.randn_like(logp)
    inputs["old_per_token_logps"] = old_logp

    aggregate = {"grpo": sequence_mean, "bnpo": token_mean}[aggregation]
    weighted = clipped_surrogate(
        logp, old_logp, inputs["base_advantage"][:, None].expand_as(logp), 0.1, 0.3
    )
    expected = aggregate(inputs["weight"] * weighted, inputs["completion_mask"].bool())
    loss = run._compute_loss(run.model, inputs)
    assert 0 < inputs["weight"].min() < 0.5
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-5)
    gradients = [torch.autograd.grad(x, run.model.lm_head.weight)[0] for x in (loss, expected)]
    torch.testing.assert_close(*gradients, atol=1e-6, rtol=1e-4)
