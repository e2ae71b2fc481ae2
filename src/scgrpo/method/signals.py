"""Credit signals: per-token tensors in, weight out.

A weight is a function whose parameters name the signals that it wants; all are vectors `(M)` over
the M active tokens of one optimizer step, float32 and without gradient:

    kl            D = KL(teacher || student), nats (section 2)
    credit        f(D) = D / (D + c) in [0, 1) (section 3)
    entropy       of the student's next-token distribution, nats
    disagreement  E_j KL(p_j || pbar) of the teachers of several references, nats (section 7)
    logp          log-probability of the sampled token, nats
    advantage     of the token's rollout

and `scale`, the function of section 3 that turns a signal into its c. It returns weights `(M)`, at
least 0. A weight of your own is named by `weight="path.py:function"`."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from scgrpo.method.weights import credit_weight, quantile

SIGNALS = ("kl", "credit", "entropy", "disagreement", "logp", "advantage")
Scale = Callable[[Tensor], Tensor]


def credit(credit: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """SC-GRPO's own weight f(D)."""
    return credit


def disagreement(disagreement: Float[Tensor, " M"], scale: Scale) -> Float[Tensor, " M"]:
    """f of the teachers' disagreement, which marks branch points and which distillation drops."""
    return credit_weight(disagreement, scale(disagreement))


def entropy(entropy: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """1 for the fifth of the tokens with the highest entropy, else 0 (arXiv 2506.01939)."""
    return (entropy >= quantile(entropy, 0.8)).float()


def credit_times_entropy(
    credit: Float[Tensor, " M"], entropy: Float[Tensor, " M"]
) -> Float[Tensor, " M"]:
    """f(D) times the entropy relative to its 80th percentile, at most 1."""
    return credit * _relative(entropy)


def credit_plus_entropy(
    credit: Float[Tensor, " M"], entropy: Float[Tensor, " M"]
) -> Float[Tensor, " M"]:
    """Half f(D), half the entropy relative to its 80th percentile, at most 1."""
    return 0.5 * credit + 0.5 * _relative(entropy)


def _relative(entropy: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    return (entropy / quantile(entropy, 0.8).clamp(min=1e-4)).clamp(max=1)


WEIGHTS: dict[str, Callable[..., Tensor]] = {
    "credit": credit,
    "disagreement": disagreement,
    "entropy": entropy,
    "credit*entropy": credit_times_entropy,
    "credit+entropy": credit_plus_entropy,
}


@dataclass(frozen=True)
class Weight:
    """A weight function and the signals that it asks for."""

    name: str
    function: Callable[..., Tensor]
    signals: tuple[str, ...]
    """What it asks for: names of `SIGNALS`, and perhaps `scale`."""

    def __call__(self, signals: Mapping[str, Tensor], scale: Scale) -> Tensor:
        """Weights `(M)` of the active tokens.

        Args:
            signals: vectors `(M)` by name; at least those that are asked for.
            scale: turns a signal into its c, a scalar.

        Raises:
            ValueError: for anything but M finite weights of at least 0.
        """
        known: dict[str, Any] = {**signals, "scale": scale}
        weight = self.function(**{name: known[name] for name in self.signals})
        expected = next(iter(signals.values())).shape
        if not isinstance(weight, Tensor) or weight.shape != expected:
            found = tuple(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
            raise ValueError(
                f"the weight {self.name!r} returned {found} for {tuple(expected)} tokens; return "
                "one weight per token."
            )
        weight = weight.detach().float()
        if not bool(torch.isfinite(weight).all()) or bool((weight < 0).any()):
            raise ValueError(
                f"the weight {self.name!r} returned {weight.min().item():g} to "
                f"{weight.max().item():g}; weights are finite and at least 0, since a negative "
                "one would undo the clipping."
            )
        return weight


def as_weight(name: str, function: Callable[..., Tensor]) -> Weight:
    """A function as a weight.

    Args:
        name: what it is called in messages.
        function: see the top of this module.

    Raises:
        ValueError: if it asks for an unknown signal.
    """
    parameters = tuple(inspect.signature(function).parameters)
    for parameter in parameters:
        if parameter not in (*SIGNALS, "scale"):
            raise ValueError(
                f"the weight {name!r} asks for {parameter!r}, which is no signal; its parameters "
                f"may be {', '.join(SIGNALS)} and scale."
            )
    return Weight(name, function, parameters)
