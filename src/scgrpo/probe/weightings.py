"""Token weightings that are probed: functions of what is known of the tokens of a batch.

Shapes: M tokens of a batch that the model wrote, rollout by rollout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from scgrpo.importing import import_function
from scgrpo.method import as_weight, credit_weight, quantile, threshold
from scgrpo.method.signed import believed, signed_weight
from scgrpo.mistakes import require_known
from scgrpo.probe.names import FAILED, OTHER, UNIFORM, UNRELATED, VERIFIED


@dataclass(frozen=True)
class TokenFacts:
    """What is known of the tokens; float32 `(M)` without gradient."""

    rollout: Tensor
    """Number of the token's rollout, int64."""
    advantage: Tensor
    """Of its rollout."""
    logp: Tensor
    """Log-probability under the policy that sampled it, nats."""
    entropy: Tensor
    """Of the policy's next-token distribution, nats."""
    kl: Mapping[str, Tensor]
    """D by kind of reference, nats; NaN where the teacher has none of that kind."""
    log_ratio: Mapping[str, Tensor]
    """log p_T - log p_S of the sampled token by kind of reference, nats; NaN likewise."""
    contrast: Tensor
    """KL(verified teacher || failed teacher), nats; NaN where one of them is missing."""
    seed: int = 0
    """Of what a weighting draws."""
    pieces: Sequence[str] = ()
    """Text of each token, for weightings that know the task."""

    def __len__(self) -> int:
        return len(self.rollout)


Weighting = Callable[[TokenFacts], Tensor]
"""Weights `(M)`, float32 and at least 0."""


def uniform(facts: TokenFacts) -> Tensor:
    """1 everywhere: GRPO."""
    return torch.ones_like(facts.advantage)


def credit(facts: TokenFacts, reference: str = VERIFIED) -> Tensor:
    """f(D) of a teacher that is shown such a reference; 1 where it has none, as in training."""
    return _otherwise_1(_squashed(facts.kl[reference]))


def sequence_mean_1(facts: TokenFacts, weights: Tensor, active: Tensor) -> Tensor:
    """The same weights with mean 1 over the active tokens of each rollout."""
    size = int(facts.rollout.max()) + 1 if len(facts) else 0
    total, count = (
        torch.zeros(size).index_add_(0, facts.rollout[active], values[active])
        for values in (weights, torch.ones_like(weights))
    )
    mean = (total / count.clamp(min=1)).clamp(min=1e-12)[facts.rollout]
    return torch.where(active, weights / mean, 1.0)


def credit_per_sequence(facts: TokenFacts) -> Tensor:
    """f(D) with mean 1 in each rollout."""
    return sequence_mean_1(facts, credit(facts), ~facts.kl[VERIFIED].isnan())


def inverse(facts: TokenFacts) -> Tensor:
    """1 - f(D)."""
    return _otherwise_1(1 - _squashed(facts.kl[VERIFIED]))


def inverse_per_sequence(facts: TokenFacts) -> Tensor:
    """1 - f(D) with mean 1 in each rollout."""
    return sequence_mean_1(facts, inverse(facts), ~facts.kl[VERIFIED].isnan())


def entropy_top(facts: TokenFacts) -> Tensor:
    """1 for the fifth of the batch's tokens with the highest entropy, else 0 (2506.01939)."""
    return (facts.entropy >= quantile(facts.entropy, 0.8)).float()


def credit_times_entropy(facts: TokenFacts) -> Tensor:
    """f(D) times the entropy relative to its 80th percentile, at most 1."""
    relative = facts.entropy / quantile(facts.entropy, 0.8).clamp(min=1e-4)
    return torch.where(facts.kl[VERIFIED].isnan(), 1.0, credit(facts) * relative.clamp(max=1))


def contrast(facts: TokenFacts) -> Tensor:
    """f of KL(verified teacher || failed teacher)."""
    return _otherwise_1(_squashed(facts.contrast))


def signed_contrast(facts: TokenFacts) -> Tensor:
    """The signed weight of log p_verified - log p_failed."""
    gap = facts.log_ratio[VERIFIED] - facts.log_ratio[FAILED]
    return _otherwise_1(signed_weight(gap, facts.advantage))


def signed(facts: TokenFacts, reference: str = VERIFIED) -> Tensor:
    """exp(sign(A) d), at most 2: what hindsight says of the sampled token."""
    return _otherwise_1(signed_weight(facts.log_ratio[reference], facts.advantage))


def signed_times_credit(facts: TokenFacts) -> Tensor:
    """The signed weight times f(D)."""
    return signed(facts) * credit(facts)


def reversed_sign(facts: TokenFacts) -> Tensor:
    """exp(-sign(A) d), at most 2: the opposite belief."""
    return _otherwise_1(signed_weight(-facts.log_ratio[VERIFIED], facts.advantage))


def half_signed(facts: TokenFacts) -> Tensor:
    """Half 1, half exp(sign(A) d) clipped to 1 +- 0.2."""
    clipped = signed_weight(facts.log_ratio[VERIFIED], facts.advantage, 0.8, 1.2)
    return _otherwise_1(believed(clipped, 0.5))


def shuffled(weighting: Weighting) -> Weighting:
    """The weights of the active tokens in another order: their sizes without their places."""

    def of(facts: TokenFacts) -> Tensor:
        weights, active = weighting(facts).clone(), ~facts.kl[VERIFIED].isnan()
        weights[active] = _permuted(weights[active], facts.seed)
        return weights

    return of


WEIGHTINGS: dict[str, Weighting] = {
    UNIFORM: uniform,
    "credit": credit,
    "credit-sequence": credit_per_sequence,
    "credit-failed": lambda facts: credit(facts, FAILED),
    "credit-other": lambda facts: credit(facts, OTHER),
    "credit-unrelated": lambda facts: credit(facts, UNRELATED),
    "shuffled": shuffled(credit),
    "inverse": inverse,
    "inverse-sequence": inverse_per_sequence,
    "entropy": entropy_top,
    "credit*entropy": credit_times_entropy,
    "contrast": contrast,
    "signed-contrast": signed_contrast,
    "signed": signed,
    "signed-failed": lambda facts: signed(facts, FAILED),
    "signed-other": lambda facts: signed(facts, OTHER),
    "signed-unrelated": lambda facts: signed(facts, UNRELATED),
    "signed-shuffled": shuffled(signed),
    "signed*credit": signed_times_credit,
    "signed-half": half_signed,
    "reversed": reversed_sign,
}
"""By the name under which each is asked for; described in docs/probe.md."""


def weightings_of(signals: str) -> dict[str, Weighting]:
    """The weightings that a comma-separated list names, uniform weights first.

    Raises:
        ConfigError: for an unknown name.
        ValueError: for a function that cannot be imported, or asks for a signal that is not known.
    """
    if signals == "all":
        return WEIGHTINGS
    found = {UNIFORM: uniform}
    for name in filter(None, (part.strip() for part in signals.split(","))):
        if ":" in name:
            found[name] = own_weighting(name, import_function(name, "signals"))
        else:
            require_known("signal", name, [*WEIGHTINGS, "all", "path.py:function"])
            found[name] = WEIGHTINGS[name]
    return found


def own_weighting(name: str, function: Callable[..., Tensor]) -> Weighting:
    """A weight function of the user's (docs/signals.md) as a weighting.

    Raises:
        ValueError: if it asks for a signal that is not known here, or returns no weights.
    """
    weight = as_weight(name, function)
    if "disagreement" in weight.signals:
        raise ValueError(
            f"the weight {name!r} asks for disagreement, which needs several references of a "
            "rollout; a probe shows one of each kind: leave this weight out."
        )

    def of(facts: TokenFacts) -> Tensor:
        kl, ratio = facts.kl[VERIFIED], facts.log_ratio[VERIFIED]
        known = {
            "kl": kl,
            "credit": _squashed(kl),
            "entropy": facts.entropy,
            "logp": facts.logp,
            "log_ratio": ratio,
            "teacher_logp": facts.logp + ratio,
            "contrast_kl": facts.contrast,
            "contrast_log_ratio": ratio - facts.log_ratio[FAILED],
            "advantage": facts.advantage,
            "rollout": facts.rollout,
        }
        asked = [known[name] for name in weight.signals if name in known]
        active = ~torch.stack([values.isnan() for values in (kl, *asked)]).any(0)
        weights = torch.ones_like(kl)
        if bool(active.any()):
            own = {name: values[active] for name, values in known.items()}
            weights[active] = weight(own, _scale, partial(_permuted, seed=facts.seed))
        return weights

    return of


def _permuted(values: Tensor, seed: int) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return values[torch.randperm(len(values), generator=drawn)]


def _scale(signal: Tensor) -> Tensor:
    return threshold(signal, torch.ones_like(signal, dtype=torch.bool))


def _squashed(divergence: Tensor) -> Tensor:
    """f of a divergence, with c of the batch; NaN where that is NaN."""
    return credit_weight(divergence, threshold(divergence, ~divergence.isnan()))


def _otherwise_1(weights: Tensor) -> Tensor:
    return torch.where(weights.isnan(), 1.0, weights)
