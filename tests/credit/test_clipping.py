"""What of a divergence enters a loss: of each vocabulary entry, of a token, or all."""

from functools import partial

import pytest
import torch
from trl.kernels.chunked_divergence import ChunkedDivergenceFunction

from scgrpo.credit import heads as heads_module
from scgrpo.credit.heads import PolicyHeads
from scgrpo.method import entry_clipped, per_token_divergence
from scgrpo.method.divergence import KINDS
from tests.trainer.tiny import tiny_model

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("clip", "of"), [(0.05, "entry"), (0.2, "token"), (None, "entry")])
def test_what_enters_the_loss(kind, clip, of, device):
    student, teacher = tiny_model().to(device), tiny_model(seed=3).to(device)
    torch.manual_seed(0)
    hidden_p, hidden_q = 1.5 * torch.randn(2, 40, 32, device=device)
    hidden_q.requires_grad_()
    heads = PolicyHeads(student, teacher, 0.8, kind, 0.3, clip, of)
    entered, whole = heads.clipped_divergence(hidden_p, hidden_q)
    logits = teacher.lm_head(hidden_p).detach(), student.lm_head(hidden_q)
    dense = partial(per_token_divergence, *logits, kind, beta=0.3, temperature=0.8)
    torch.testing.assert_close(whole, dense().detach(), rtol=1e-4, atol=1e-5)
    if clip is None:
        expected = dense()
    elif of == "token":
        expected = dense().clamp(max=clip)
    else:
        expected = dense(reduce=partial(entry_clipped, clip=clip))[:, 0]
    torch.testing.assert_close(entered, expected, rtol=1e-4, atol=1e-5)
    assert (entered < whole - 1e-6).any() == (clip is not None)
    found, wanted = (torch.autograd.grad(x.sum(), hidden_q)[0] for x in (entered, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    assert whole.requires_grad is False


def test_trls_kernel_is_not_asked_to_clip_entries(monkeypatch):
    """It returns sums alone; where it serves, on a GPU, our own chunks clip the entries."""
    model = tiny_model()
    hidden = torch.randn(4, 32)

    def refuse(*_):
        raise AssertionError("asked the kernel")

    monkeypatch.setattr(ChunkedDivergenceFunction, "apply", refuse)
    monkeypatch.setattr(heads_module.PolicyHeads, "divergence", PolicyHeads._by_kernel)
    with pytest.raises(AssertionError, match="asked the kernel"):
        PolicyHeads(model, model, 1.0, "forward", 0.5, 0.05, "token").clipped_divergence(
            hidden, hidden
        )
    PolicyHeads(model, model, 1.0, "forward", 0.5, 0.05, "entry").clipped_divergence(hidden, hidden)
