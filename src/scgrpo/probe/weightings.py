"""Token weightings that are probed: functions of what is known of the tokens of a batch.

A weighting that training has too is that of a `Method`: the same function, on the same tokens.

Shapes: M tokens of a batch that the model wrote, rollout by rollout.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scgrpo.config import Method
from scgrpo.importing import import_function
from scgrpo.method import Weight, as_weight, believed, credit_weight, mean_one, threshold
from scgrpo.mistakes import ConfigError, require_known
from scgrpo.presets import RIVALS
from scgrpo.presets.paper import Fields
from scgrpo.probe.names import FAILED, OTHER, UNIFORM, UNRELATED, VERIFIED
from scgrpo.rivals import entropy_shaped_advantage


@dataclass(frozen=True)
class TokenFacts:
    """What is known of the tokens; float32 `(M)` without gradient."""

    rollout: Tensor
    """Number of the token's rollout, int64."""
    group: Tensor
    """Number of that rollout's group, int64."""
    reward: Tensor
    """Verified reward of the rollout, NaN where it is unscored."""
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
    solve_threshold: float = 1.0
    """Smallest reward that is solved."""
    seed: int = 0
    """Of what a weighting draws."""
    pieces: Sequence[str] = ()
    """Text of each token, for weightings that know the task."""

    def __len__(self) -> int:
        return len(self.rollout)

    def signals(self, reference: str) -> dict[str, Tensor]:
        """What a weight may ask for (docs/signals.md), the teacher being shown such a reference."""
        kl, ratio = self.kl[reference], self.log_ratio[reference]
        return {
            "kl": kl,
            "credit": credit_weight(kl, _scale(kl[~kl.isnan()])),
            "entropy": self.entropy,
            "logp": self.logp,
            "log_ratio": ratio,
            "teacher_logp": self.logp + ratio,
            "contrast_kl": self.contrast,
            "contrast_log_ratio": ratio - self.log_ratio[FAILED],
            "advantage": self.advantage,
            "rollout": self.rollout,
        }


Weighting = Callable[[TokenFacts], Tensor]
"""Weights `(M)`, float32."""


def uniform(facts: TokenFacts) -> Tensor:
    """1 everywhere: GRPO."""
    return torch.ones_like(facts.advantage)


@dataclass(frozen=True)
class Weighed:
    """A weight function as training applies it; 1 for a token of which it knows too little."""

    weight: Weight
    reference: str | None = VERIFIED
    """What the teacher is shown; None without a teacher, when all tokens are weighed."""
    normalisation: str = "none"
    """As `weight_normalisation`: none, sequence, batch."""
    trust: float = 1.0

    def __call__(self, facts: TokenFacts) -> Tensor:
        weights, signals = uniform(facts), facts.signals(self.reference or VERIFIED)
        needed = [name for name in self.weight.signals if name in signals]
        needed += [] if self.reference is None else ["kl"]
        active = ~torch.stack([signals[name].isnan() for name in needed]).any(0)
        if bool(active.any()):
            own = {name: values[active] for name, values in signals.items()}
            found = self.weight(own, _scale, partial(_permuted, seed=facts.seed))
            if self.normalisation != "none":
                by_rollout = self.normalisation == "sequence"
                found = mean_one(found, own["rollout"] if by_rollout else None)
            weights[active] = believed(found, self.trust)
        return weights


KINDS_SHOWN = {
    "verified": VERIFIED,
    "failed": FAILED,
    "other-problem": OTHER,
    "unrelated": UNRELATED,
}
"""Kinds of reference that both have, by their names in training."""


def of_method(**chosen: object) -> Weighed:
    """The weight that fields of a method mean; what is not a method's is left out."""
    known = {field.name for field in fields(Method)}
    method = Method(**{name: value for name, value in chosen.items() if name in known})  # type: ignore[arg-type]
    return Weighed(
        method.weight_function(),
        None if method.teacher == "none" else KINDS_SHOWN[method.reference_kind],
        method.weight_normalisation,
        1.0 if method.trust_value is None else method.trust_value,
    )


def rival(name: str) -> Weighed:
    """The weight of a preset; one whose trust falls along the run as it is at the beginning."""
    preset: Fields = RIVALS[name]()
    return of_method(**preset)


def gtpo(facts: TokenFacts) -> Tensor:
    """GTPO's advantage of each token over that of its rollout; 1 where the latter is 0."""
    shaped = uniform(facts)
    for group in facts.group.unique().tolist():
        own = facts.group == group
        rollout, reward = facts.rollout[own], facts.reward[own]
        lengths = rollout.unique_consecutive(return_counts=True)[1].tolist()
        entropy_GT = pad_sequence(facts.entropy[own].split(lengths), batch_first=True)
        written_GT = pad_sequence(torch.ones_like(reward).split(lengths), batch_first=True).bool()
        reward_G = torch.stack([one[0] for one in reward.split(lengths)])
        verified_G = reward_G >= facts.solve_threshold
        failed_G = reward_G < facts.solve_threshold
        advantage_GT = entropy_shaped_advantage(
            entropy_GT[None], written_GT[None], verified_G[None], failed_G[None]
        )[0]
        shaped[own] = advantage_GT[written_GT]
    return torch.where(facts.advantage == 0, 1.0, shaped / facts.advantage)


WEIGHTINGS: dict[str, Weighting] = {
    UNIFORM: uniform,
    "credit": of_method(weight="credit"),
    "credit-sequence": of_method(weight="credit", weight_normalisation="sequence"),
    "credit-failed": of_method(weight="credit", reference_kind="failed"),
    "credit-other": of_method(weight="credit", reference_kind="other-problem"),
    "credit-unrelated": of_method(weight="credit", reference_kind="unrelated"),
    "shuffled": of_method(weight="shuffled"),
    "inverse": of_method(weight="inverse"),
    "inverse-sequence": of_method(weight="inverse", weight_normalisation="sequence"),
    "entropy": rival("entropy-top20"),
    "credit*entropy": of_method(weight="credit*entropy"),
    "credit+entropy": of_method(weight="credit+entropy"),
    "contrast": of_method(weight="contrast"),
    "signed-contrast": of_method(weight="signed-contrast"),
    "signed": of_method(weight="signed"),
    "signed-failed": of_method(weight="signed", reference_kind="failed"),
    "signed-other": of_method(weight="signed", reference_kind="other-problem"),
    "signed-unrelated": of_method(weight="signed", reference_kind="unrelated"),
    "signed-shuffled": of_method(weight="signed-shuffled"),
    "signed*credit": of_method(weight="signed*credit"),
    "reversed": of_method(weight="reversed"),
    "rlsd": rival("rlsd"),
    "rlrt": rival("rlrt"),
    "rlcsd": rival("rlcsd"),
    "cscr": rival("cscr"),
    "tr-grpo": rival("tr-grpo"),
    "gtpo": gtpo,
}
"""By the name under which each is asked for; described in docs/probe.md."""

ALIASES = {"signed-half": "rlsd", "entropy-top20": "entropy"}
"""Further names, which `all` does not take twice."""


def weightings_of(signals: str) -> dict[str, Weighting]:
    """The weightings that a comma-separated list names, uniform weights first.

    Raises:
        ConfigError: for an unknown name, or none at all.
        ValueError: for a function that cannot be imported, or asks for a signal that is not known.
    """
    if signals == "all":
        return WEIGHTINGS
    names = [part.strip() for part in signals.split(",") if part.strip()]
    if not names:
        raise ConfigError(
            f"signals is {signals!r}, which names none; write names separated by commas, or all."
        )
    found = {UNIFORM: uniform}
    for name in names:
        if ":" in name:
            found[name] = own_weighting(name, import_function(name, "signals"))
        else:
            require_known("signal", name, [*WEIGHTINGS, *ALIASES, "all", "path.py:function"])
            found[name] = WEIGHTINGS[ALIASES.get(name, name)]
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
    return Weighed(weight)


def _permuted(values: Tensor, seed: int) -> Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return values[torch.randperm(len(values), generator=drawn)]


def _scale(signal: Tensor) -> Tensor:
    return threshold(signal, torch.ones_like(signal, dtype=torch.bool))
