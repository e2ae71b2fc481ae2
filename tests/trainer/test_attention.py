"""cuDNN's attention is off where its gradient can be NaN, and nowhere else."""

import math

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from scgrpo import SCGRPOTrainer
from scgrpo.trainer.attention import avoid_faulty_attention

LENGTH, WIDTH = 192, 64


@pytest.fixture(autouse=True)
def _as_before():
    enabled = torch.backends.cuda.cudnn_sdp_enabled()
    yield
    torch.backends.cuda.enable_cudnn_sdp(enabled)


@pytest.mark.parametrize(
    ("card", "version", "enabled"),
    [
        ((9, 0), "2.11.0+cu130", False),
        ((9, 0), "2.13.0", False),
        ((9, 0), "2.10.1", True),
        ((8, 0), "2.13.0", True),
        ((10, 0), "2.13.0", True),
        (None, "2.13.0+cpu", True),
    ],
)
def test_only_hopper_since_2_11(card, version, enabled, monkeypatch, caplog):
    torch.backends.cuda.enable_cudnn_sdp(True)
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: card is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: card)

    avoid_faulty_attention()

    assert torch.backends.cuda.cudnn_sdp_enabled() is enabled
    assert ("196678" in caplog.text) is not enabled


def test_every_trainer_asks_first(monkeypatch):
    class Asked(Exception): ...

    def ask():
        raise Asked

    monkeypatch.setattr("scgrpo.trainer.trainer.avoid_faulty_attention", ask)
    with pytest.raises(Asked):
        SCGRPOTrainer(model="none")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gradient_of_a_masked_row_with_a_small_log_sum_exp_is_finite():
    avoid_faulty_attention()
    query, key, value = torch.randn(3, 1, 1, LENGTH, WIDTH, device="cuda", dtype=torch.bfloat16)
    query, key = query * 0.1, key * 0.1
    query[..., 0], key[..., 0] = 1.0, -120 * math.sqrt(WIDTH)
    query.requires_grad_()
    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool, device="cuda").tril()

    scaled_dot_product_attention(query, key, value, attn_mask=mask).float().sum().backward()

    assert query.grad.isfinite().all()
