"""A model and its tokenizer, in memory."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from scgrpo.embedded.shipped import SHIPPED, local_name
from scgrpo.mistakes import ConfigError, on_one_line


def load_policy(name: str, dtype: str = "float32") -> tuple[PreTrainedModel, Any]:
    """Model and tokenizer, by hub id, folder, or name of a shipped model.

    Raises:
        ValueError: for a name that is none of them, or a folder that holds another thing.
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
    except ValueError as error:  # of a config without a model's type, or a tokenizer that is none
        raise ConfigError(
            f"model {name!r} cannot be loaded as a causal language model ({on_one_line(error)}); "
            "give a folder that transformers wrote with save_pretrained, or a hub id."
        ) from error
