"""How several processes share a model, really: DDP, FSDP2 and ZeRO on gloo and the CPU.

accelerate shards on accelerators alone and falls back to DDP on the CPU without a word. Told that
its processes have one each, it shards there too; what each run really was is read off the model.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import accelerate
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch import Tensor
from torch.distributed.tensor import DTensor

ENVIRONMENT = {
    "ACCELERATE_TORCH_DEVICE": "cpu",
    "DS_ACCELERATOR": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
}
"""Of the processes, before they import anything."""


def settings(strategy: str) -> dict[str, Any]:
    """Arguments of the trainer that mean a strategy."""
    if strategy in ("one", "ddp"):
        return {}
    # A process that waits for another in vain says so, in time for the test.
    shared = {"use_cpu": False, "dataloader_pin_memory": False, "ddp_timeout": 60}
    if strategy == "fsdp2":
        return shared | {"fsdp": True, "fsdp_config": {"version": 2, "reshard_after_forward": True}}
    config = {
        # No parameter is so small that it stays whole, as it would by default.
        "zero_optimization": {
            "stage": int(strategy[-1]),
            "stage3_param_persistence_threshold": 0,
            "stage3_model_persistence_threshold": 0,
        },
        "zero_allow_untested_optimizer": True,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
    }
    return shared | {"deepspeed": config}


@contextmanager
def processes_of(strategy: str) -> Iterator[None]:
    """Inside, accelerate shards on the CPU."""
    if strategy in ("one", "ddp"):
        yield
        return

    def backend(*_: Any, **__: Any) -> tuple[str, DistributedType]:
        return "gloo", DistributedType.MULTI_GPU

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(PartialState, "_prepare_backend", backend))
        if strategy.startswith("zero"):
            # Shared memory is C++ that is compiled at its first use: gloo alone will do.
            patches.enter_context(mock.patch("deepspeed.comm.torch.build_shm_op", lambda: None))
        yield


def facts(run: Any) -> dict[str, Any]:
    """What a trained process was a part of."""
    wrapped = run.model_wrapped
    found = {
        "processes": run.accelerator.num_processes,
        "process": run.accelerator.process_index,
        "wrapped": type(wrapped).__name__,
        "sharded": [isinstance(p, DTensor) for p in run.model.parameters()],
        "partitioned": [p.numel() == 0 for p in run.model.parameters()],
        "backend": None,
        "accelerate": accelerate.__version__,
    }
    if torch.distributed.is_initialized():
        found["backend"] = torch.distributed.get_backend()
    if hasattr(wrapped, "zero_optimization_stage"):
        found["stage"] = wrapped.zero_optimization_stage()
    return found


def whole_weights(run: Any) -> dict[str, Tensor]:
    """The trained weights, gathered on every process."""
    model = run.accelerator.unwrap_model(run.model)
    parameters = dict(model.named_parameters())
    if any(hasattr(p, "ds_id") for p in parameters.values()):
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(parameters.values())):
            return {name: p.detach().clone() for name, p in parameters.items()}
    return {
        name: p.full_tensor().detach() if isinstance(p, DTensor) else p.detach().clone()
        for name, p in parameters.items()
    }
