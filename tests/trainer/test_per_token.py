"""The table of docs/method.md: in which of TRL's losses an advantage of each token acts per token.

The gradient is taken at the log-probs of the tokens, which a stub gives to TRL's own loss.
"""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import Accelerator
from trl import GRPOConfig, GRPOTrainer

from scgrpo.credit.aggregation import AGGREGATIONS
from tests.trainer.runs import config, trainer

DOCS = Path(__file__).parents[2] / "docs" / "method.md"
ROW = re.compile(r"^\| `([a-z_]+: [^`]+)` \| (yes|refused) \| (yes|refused) \| (yes|refused) \|$")
USES = {
    "weight": {},
    "whitened": {"advantage": "whitened", "teacher": "none", "use": "none"},
    "loss": {"use": "loss", "reference_set": "partial"},
}
TABLE = {
    match[1]: dict(zip(USES, match.groups()[1:], strict=True))
    for match in map(ROW.match, DOCS.read_text().splitlines())
    if match
}
LOSSES = [row.removeprefix("loss_type: ") for row in TABLE if row.startswith("loss_type")]
LEVELS = [row for row in TABLE if row.startswith("importance_sampling_level")]
OPTIONS = [row for row in TABLE if row not in LEVELS and not row.startswith("loss_type")]
# What TRL's trainer copies from its arguments.
COPIED = (
    "loss_type", "importance_sampling_level", "beta", "top_entropy_quantile", "entropy_coef",
    "off_policy_mask_threshold", "vllm_importance_sampling_mode",
)  # fmt: skip
LENGTHS = (6, 4, 5)
MASK = torch.tensor([[t < n for t in range(6)] for n in LENGTHS])
ADVANTAGE = torch.tensor([1.3, -0.7, 0.4])


def drawn(seed, scale=1.0):
    return scale * torch.randn(3, 6, generator=torch.Generator().manual_seed(seed))


WEIGHT = drawn(0).abs() * (drawn(1) > -1)  # some are 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = trainer(config(tmp_path_factory.mktemp("run")))
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def arguments(folder, use, *rows):
    written = {k: v for row in rows for k, v in yaml.safe_load(f"{{{row}}}").items()}
    return config(folder, **USES[use] | written)


def gradient(run, args, advantages, monkeypatch):
    """Gradient `(B, T)` of TRL's loss at the log-probs of the tokens."""
    logp_BT = (drawn(2, 0.3) - 1.5).requires_grad_()

    def stub(*_, **__):
        return logp_BT, drawn(3).abs(), None

    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", stub)
    monkeypatch.setattr(run, "args", args)
    monkeypatch.setattr(run, "accelerator", Accelerator(cpu=True))  # new arguments reset the old
    for name in COPIED:
        assert hasattr(run, name)
        monkeypatch.setattr(run, name, getattr(args, name))
    monkeypatch.setattr(run, "epsilon_high", args.epsilon_high or args.epsilon)
    monkeypatch.setattr(run, "_entropy_bonus_enabled", args.entropy_coef != 0)
    mode = args.vllm_importance_sampling_mode
    corrected = mode != GRPOConfig.vllm_importance_sampling_mode
    monkeypatch.setattr(run, "use_vllm", corrected)
    ratio_BT = (1 + drawn(4, 0.1)).clamp(max=1.1)
    ids = torch.zeros(3, 6, dtype=torch.int64)
    loss = run._compute_loss(
        run.model,
        {
            "prompt_ids": ids[:, :2],
            "prompt_mask": torch.ones_like(ids[:, :2]),
            "completion_ids": ids,
            "completion_mask": MASK.long(),
            "old_per_token_logps": logp_BT.detach() - drawn(5, 0.02),
            "ref_per_token_logps": logp_BT.detach() - drawn(6, 0.5),
            "importance_sampling_ratio": ratio_BT if "token" in mode else ratio_BT[:, :1],
            "num_items_in_batch": MASK.sum(),
            "advantages": advantages,
        },
    )
    return torch.autograd.grad(loss, logp_BT)[0]


def check_acts_per_token(run, args, base_BT, monkeypatch):
    """The gradient is that of the loss without a weight, times the weight."""
    zero, whole, weighted = (
        gradient(run, args, advantages, monkeypatch)
        for advantages in (torch.zeros(3, 6), base_BT, WEIGHT * base_BT)
    )
    torch.testing.assert_close(weighted - zero, WEIGHT * (whole - zero), rtol=1e-4, atol=1e-7)
    assert (((whole - zero).abs() > 1e-4).sum(1) >= 2).sum() >= 2  # there is something to compare
    assert not (whole[~MASK]).any()


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("use", ["weight", "whitened"])
def test_the_weight_acts_per_token_or_is_refused(tmp_path, run, use, level, loss_type, monkeypatch):
    base_BT = drawn(7) if use == "whitened" else ADVANTAGE[:, None].expand(3, 6)
    loss_row = f"loss_type: {loss_type}"
    for option in ["", *OPTIONS]:
        rows = [row for row in (loss_row, level, option) if row]
        if any(TABLE[row][use] == "refused" for row in rows):
            with pytest.raises(ValueError, match=r"sign of a sequence's advantage, .* set adv"):
                arguments(tmp_path, use, *rows)
        else:
            args = arguments(tmp_path, use, *rows)
            check_acts_per_token(run, args, base_BT, monkeypatch)


@pytest.mark.parametrize("loss_type", LOSSES)
@pytest.mark.parametrize("level", LEVELS)
def test_losses_to_which_a_divergence_is_added(tmp_path, level, loss_type):
    for option in OPTIONS:
        rows = f"loss_type: {loss_type}", level, option
        if TABLE[rows[0]]["loss"] == "refused":
            with pytest.raises(ValueError, match=f"loss_type='{loss_type}' does not aggregate"):
                arguments(tmp_path, "loss", *rows)
        else:
            assert loss_type in AGGREGATIONS
            assert arguments(tmp_path, "loss", *rows).loss_type == loss_type


@pytest.mark.parametrize("loss_type", LOSSES)
def test_equal_weights_have_the_gradient_of_trls_sequence_ratio(
    tmp_path, run, loss_type, monkeypatch
):
    for option in ["", "delta: 1.02", "epsilon_high: 0.01", "off_policy_mask_threshold: 0.01"]:
        rows = [f"loss_type: {loss_type}", "importance_sampling_level: sequence", option]
        args = arguments(tmp_path, "weight", *filter(None, rows))
        theirs = gradient(run, args, ADVANTAGE, monkeypatch)
        ours = gradient(run, args, ADVANTAGE[:, None].expand(3, 6), monkeypatch)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)
        assert theirs.abs().max() > 1e-4
        assert run.importance_sampling_level == "sequence"


def test_the_table_has_every_loss_and_ratio_of_trl():
    help_text = {f.name: f.metadata.get("help", "") for f in fields(GRPOConfig)}
    named = set(re.findall(r"'([a-z_]+)'", help_text["loss_type"]))
    assert len(LOSSES) == 8 and set(LOSSES) <= named
    assert {row.split()[1] for row in LEVELS} == {"token", "sequence"}
    assert len(OPTIONS) == 11
