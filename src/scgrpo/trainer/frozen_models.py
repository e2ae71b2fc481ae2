"""Models beside the policy, placed and sharded by TRL's own means."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel
from trl.models import prepare_deepspeed
from trl.models.utils import prepare_fsdp
from trl.trainer.utils import create_model_from_path, disable_dropout_in_model, use_adapter


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
