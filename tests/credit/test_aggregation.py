"""Sums of a term's per-token losses, worked by hand."""

import pytest
import torch

from scgrpo.credit.aggregation import Aggregation
from scgrpo.credit.use import Update

LOSS_BT = torch.tensor([[1.0, 2.0, 9.0], [4.0, 9.0, 9.0]])
BATCH = {
    "completion_mask": torch.tensor([[1, 1, 0], [1, 0, 0]]),
    "num_items_in_batch": torch.tensor(12),
}


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    [
        ("grpo", (1.5 + 4.0) / 2 / 4),
        ("bnpo", 7.0 / 3 / 4),
        ("dr_grpo", 7.0 / (2 * 10) / 4),
        # 12 tokens of 8 micro-batches on 2 processes: 4 of them take 3 a process.
        ("dapo", 7.0 / (12 / 2 * 4 / 8)),
    ],
)
def test_a_step_of_four_micro_batches(loss_type, expected):
    aggregate = Aggregation(loss_type, 8, 10, num_processes=2)
    found = aggregate(LOSS_BT, BATCH, Update(step=0, accumulation_steps=4))
    assert found.item() == pytest.approx(expected)


def test_a_tools_tokens_do_not_count():
    batch = BATCH | {"tool_mask": torch.tensor([[1, 0, 0], [1, 0, 0]])}
    found = Aggregation("bnpo", 1, 10)(LOSS_BT, batch, Update(0, 1))
    assert found.item() == pytest.approx(2.5)
