"""What DeepSpeed's ZeRO-3, which cuts every parameter over the processes, needs of a model."""

import copy
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled


def is_cut(model: PreTrainedModel) -> bool:
    """Whether a process holds but a part of each parameter."""
    return any(hasattr(parameter, "ds_id") for parameter in model.parameters())


@torch.no_grad()
def copy_of_parts(model: PreTrainedModel) -> PreTrainedModel:
    """A copy of a model that is cut, cut alike; one parameter at a time is whole."""
    from deepspeed import zero

    copied = type(model)._from_config(copy.deepcopy(model.config), dtype=model.dtype)
    for own, empty in zip(model.parameters(), copied.parameters(), strict=True):
        with zero.GatheredParameters([own]), zero.GatheredParameters([empty], modifier_rank=0):
            empty.copy_(own)
    for own, empty in zip(model.buffers(), copied.buffers(), strict=True):
        empty.copy_(own)
    return copied


def announce_head(model: Any) -> None:
    """Say that the model's own forward reads its output head, as TRL's loss and ours do.

    Without it the head is only there by chance when its gradient arrives.
    """
    if not is_deepspeed_zero3_enabled():
        return
    from deepspeed import zero

    head = model.get_output_embeddings()
    for parameter in (head.weight, getattr(head, "bias", None)):
        if parameter is not None:
            zero.register_external_parameter(model, parameter)
