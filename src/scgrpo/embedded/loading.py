"""A model and its tokenizer, in memory."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from scgrpo.embedded.shipped import SHIPPED, local_name


def load_policy(name: str, dtype: str = "float32") -> tuple[PreTrainedModel, Any]:
    """Model and tokenizer, by hub id, folder, or name of a shipped model.

    Raises:
        ValueError: for a name that is none of them.
    """
    path = local_name(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        return model, AutoTokenizer.from_pretrained(path, padding_side="left")
    except OSError as error:
        raise ValueError(
            f"model {name!r} is neither a model folder nor a hub id that can be reached "
            f"({str(error).splitlines()[0]}); {' and '.join(SHIPPED)} ship with scgrpo."
        ) from error
