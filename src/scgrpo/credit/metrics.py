"""Logged numbers of the credit, reduced over all processes."""

import resource

import torch
from accelerate import Accelerator
from torch import Tensor

from scgrpo.method import Route, quantile

KL_PERCENTILES = (50, 75, 95)


class Everywhere:
    """Vectors of all processes, each of which holds another number of entries.

    Args:
        accelerator: of the trainer, or None to stay within this process.
        count: M, the entries of this process.
        device: of the vectors.
    """

    def __init__(self, accelerator: Accelerator | None, count: int, device: torch.device) -> None:
        alone = accelerator is None or accelerator.num_processes == 1
        self.accelerator = None if alone else accelerator
        self.first, self.count = 0, count
        if self.accelerator is not None:
            counts = self.accelerator.gather(torch.tensor([count], device=device))
            self.counts = counts.tolist()
            self.first = sum(self.counts[: self.accelerator.process_index])

    def gather(self, values: Tensor) -> Tensor:
        """Entries `(M)` of all processes, in the order of the processes."""
        if self.accelerator is None:
            return values
        padded = values.new_zeros(max(self.counts))
        padded[: self.count] = values
        rows = self.accelerator.gather(padded).view(len(self.counts), -1)
        return torch.cat([row[:count] for row, count in zip(rows, self.counts, strict=True)])

    def mine(self, values: Tensor) -> Tensor:
        """The entries of this process among those of all."""
        return values[self.first : self.first + self.count]


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
