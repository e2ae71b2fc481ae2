"""What is called is the model as it is wrapped by then."""

import torch
from torch import nn

from scgrpo.teachers.policy import Policy
from tests.trainer.tiny import tiny_model


class Wrapper(nn.Module):
    """Stands for DDP or FSDP, which come after the policy was built."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, 0

    def forward(self, **inputs):
        self.calls += 1
        return self.inner(**inputs)


def test_a_wrapping_that_comes_later_is_followed():
    model = tiny_model().eval()
    held = {"model": model}
    policy = Policy.of(model, lambda: held["model"])
    with torch.no_grad():
        before = policy.hidden_states([[9, 10]], [[11, 12]])
        held["model"] = Wrapper(model)
        after = policy.hidden_states([[9, 10]], [[11, 12]])
    assert held["model"].calls == 1
    assert torch.equal(before, after)
