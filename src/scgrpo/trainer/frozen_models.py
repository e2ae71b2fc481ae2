"""Models beside the policy, placed and sharded by TRL's own means."""

import copy
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel
from trl.models import prepare_deepspeed
from trl.models.utils import prepare_fsdp
from trl.trainer.utils import create_model_from_path, disable_dropout_in_model, use_adapter

from scgrpo.trainer.zero3 import copy_of_parts, is_cut


@dataclass(frozen=True)
class FrozenModels:
    """The `ModelHost` of a trainer of TRL's."""

    accelerator: Accelerator
    init_arguments: dict[str, Any]
    """Of `from_pretrained`."""
    deepspeed: bool = False
    fsdp: bool = False

    def load(self, path: str) -> PreTrainedModel:
        """A model by hub id or folder."""
        return create_model_from_path(path, **self.init_arguments)

    def copy(self, model: PreTrainedModel) -> PreTrainedModel:
        """A model of its own with the weights that a model has now."""
        if is_cut(model):
            return copy_of_parts(model)
        copied = copy.deepcopy(model)
        # TRL's fused head is bound to the model that was copied.
        vars(copied).pop("forward", None)
        return copied

    def prepare(self, model: PreTrainedModel) -> nn.Module:
        """The model frozen, on the devices of the policy and sharded as it is."""
        model.requires_grad_(False).eval()
        disable_dropout_in_model(model)
        prepared: nn.Module
        if self.deepspeed:
            prepared = prepare_deepspeed(model, self.accelerator)
        elif self.fsdp:
            prepared = prepare_fsdp(model, self.accelerator)
        else:
            prepared = self.accelerator.prepare_model(model, evaluation_mode=True)
        return prepared

    def initial_adapter(self, model: Any) -> AbstractContextManager[Any]:
        """The policy with its adapter as it was before training."""
        # An adapter that is trained on has its first state kept by TRL under the name "ref".
        adapter: AbstractContextManager[Any] = use_adapter(
            model, "ref" if "ref" in model.peft_config else None
        )
        return adapter
