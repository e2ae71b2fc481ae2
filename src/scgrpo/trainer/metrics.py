"""Logged numbers of the credit, reduced over all processes."""

import resource

import torch
from accelerate import Accelerator
from torch import Tensor

from scgrpo.method import Route, quantile

KL_PERCENTILES = (50, 75, 95)


def gather_ragged(accelerator: Accelerator, values: Tensor) -> Tensor:
    """Values `(M)` of all processes, each of which may have another M; values are >= 0."""
    if accelerator.num_processes == 1:
        return values
    # accelerate pads to the longest; -1 marks padding, since no value is negative.
    padded = accelerator.pad_across_processes(torch.cat([values, values.new_full((1,), -1)]), 0, -1)
    gathered = accelerator.gather(padded)
    return gathered[gathered >= 0]


def route_shares(route_N: Tensor) -> dict[str, float]:
    """Share of the groups on each route."""
    return {
        f"credit/route_{route.name.lower()}": (route_N == route).float().mean().item()
        for route in Route
    }


def kl_percentiles(active_kl: Tensor) -> dict[str, float]:
    """P50, P75 and P95 of D in nats over the active tokens, and their number."""
    metrics = {"credit/active_tokens": float(active_kl.numel())}
    if active_kl.numel():
        metrics |= {
            f"credit/kl_p{level}": quantile(active_kl, level / 100).item()
            for level in KL_PERCENTILES
        }
    return metrics


def mean(values: Tensor) -> float:
    """Mean, NaN for no values (TRL leaves NaN out of its averages)."""
    return values.float().mean().item() if values.numel() else float("nan")


def peak_memory() -> float:
    """Peak memory of this process in GiB: the GPU's where there is one, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
