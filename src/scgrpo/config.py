"""A method as three choices: an advantage, a teacher, and a use of the teacher's divergence.

Every row of the paper's tables is one combination (section 6 of docs/method.md). Any other legal
combination can be written in a config; an illegal one is refused with the cure.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from scgrpo.importing import import_function
from scgrpo.limits import CHOICES, RANGES, RULES, check_range
from scgrpo.method import signals
from scgrpo.method.divergence import check_divergence
from scgrpo.method.routing import reaches_unsolved
from scgrpo.method.signals import Weight, as_weight, bounded
from scgrpo.rivals import WEIGHTS as RIVAL_WEIGHTS

WEIGHTS = signals.WEIGHTS | RIVAL_WEIGHTS
OF_THE_STUDENT = frozenset({"entropy", "logp", "advantage", "scale", "rollout"})
"""What a weight may ask for without a teacher."""
PER_TOKEN = frozenset({"credit", "inverse", "signed", "signed*credit", "reversed", "rlrt"})
"""Weights that need nothing of other tokens, once c is known."""


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass
class Method:
    """What the reward says (`advantage`), who is asked (`teacher`), and to what end (`use`)."""

    advantage: str = _option(
        "group",
        "What the reward says: group (normalised in each group), whitened (REINFORCE++), gtpo "
        "(shaped by entropy), gigpo (turns in the same state compared as well), none.",
    )
    teacher: str = _option(
        "self",
        "none; self: the policy shown an own rollout; demonstration: shown the data set's; model: "
        "another model.",
    )
    use: str = _option(
        "weight", "What becomes of the divergence: none, weight (times the loss), loss (added)."
    )

    solve_threshold: float = _option(1.0, "Reward from which on a rollout counts as solved.")
    reference_set: str = _option(
        "partial+none",
        "Groups that have references: partial, partial+none, any-partial, all-correct or all.",
    )
    reference_kind: str = _option(
        "verified",
        "What partly solved groups are shown: verified; or, as a control, failed, same-outcome (a "
        "failed rollout is shown a failed one), other-problem, unrelated (a text as long).",
    )
    references: int = _option(1, "Most references shown to the teacher, one at a time; paper: 1.")
    reference_reduction: str = _option("mean", "D over several references: their mean or max.")
    reference_draw: str = _option(
        "shared",
        "Draws of a group's rollouts: shared (few teacher prompts) or independent of each other; "
        "each is uniform either way.",
    )
    memory_size: int = _option(
        0, "Verified rollouts kept per problem from earlier steps; 0 for no memory."
    )
    memory_age: int = _option(100, "Steps after which a remembered rollout is forgotten.")
    diversity_alpha: float = _option(
        0.1, "Scale of the diversity advantage of unsolved groups; paper: 0.1."
    )
    diversity_replaces: str = _option(
        "zero",
        "Unsolved groups whose advantage it replaces: zero (those in which GRPO's is zero, as all "
        "total rewards are equal) or always.",
    )

    weight: str = _option(
        "credit",
        f"Weight of a token: {', '.join(WEIGHTS)} (credit is f(D)), or a function of yours as "
        "package.module:function or path.py:function.",
    )
    signed_min: float = _option(0.0, "Smallest weight of those with a sign; RLSD: 0.8.")
    signed_max: float = _option(2.0, "Largest weight of those with a sign; RLSD: 1.2.")
    trust: str = _option(
        "none",
        "How far the weight w is believed, as 1 + lambda (w - 1): none (lambda = 1), auc (as far "
        "as the teacher tells verified from failed rollouts), fixed, scheduled (falling to 0).",
    )
    trust_decay: float = _option(
        0.9, "Factor of the running mean of the AUC, from one generation batch to the next."
    )
    trust_value: float | None = _option(
        None, "lambda of trust='fixed', or at the start of trust='scheduled'; RLSD: 0.5."
    )
    trust_steps: int | None = _option(
        None, "Steps within which trust='scheduled' falls to 0; RLSD: 50."
    )
    weight_normalisation: str = _option(
        "none",
        "Scale weights to a mean of 1: none (paper), sequence (in each rollout), batch (over an "
        "optimizer step).",
    )
    threshold_percentile: float = _option(
        75.0, "Percentile of D that becomes the scale c; paper: 75."
    )
    threshold_min: float = _option(1e-4, "Floor of c, in nats; paper: 1e-4.")
    threshold_fixed: float | None = _option(
        None, "A fixed c in nats instead of the percentile (an ablation of the paper)."
    )
    threshold_scope: str = _option(
        "batch",
        "Tokens that share one c: batch (an optimizer step), micro_batch (the paper), or previous "
        "(c, and lambda of trust='auc', are those of the step before, so that no pass of the "
        "student is made where its update can be asked).",
    )

    divergence: str = _option(
        "forward", "Divergence in the loss: forward, reverse, bidirectional or jsd."
    )
    divergence_beta: float = _option(
        0.5, "Share of the teacher's direction in bidirectional and jsd."
    )
    divergence_clip: float | None = _option(
        None,
        "Largest divergence in the loss, in nats, of what divergence_clip_of says; OPSD: 0.05.",
    )
    divergence_clip_of: str = _option(
        "entry",
        "What is clipped: entry (the part of each vocabulary entry, before the sum) or token (the "
        "sum); OPSD: entry.",
    )
    loss_coefficient: float = _option(
        1.0, "Coefficient of the divergence in the loss; paper: 0.1 beside GRPO."
    )
    loss_coefficient_start: float | None = _option(
        None, "Coefficient at the first step, from which it is warmed linearly; paper: 0.03."
    )
    loss_warmup_steps: int = _option(0, "Steps of that warm-up.")
    teacher_weights: str = _option(
        "current", "Weights of a teacher that is the policy itself: current or initial (frozen)."
    )
    teacher_model: str | None = _option(
        None,
        "Hub id or folder of the teacher, for teacher='model'; its vocabulary is the policy's.",
    )
    demonstration: str = _option(
        "demonstration", "Column of the data set with solutions, for teacher='demonstration'."
    )

    reward_kl: float = _option(
        0.0, "Coefficient of the per-token KL to the initial policy in the reward (REINFORCE++)."
    )
    discount: float = _option(
        1.0, "Discount gamma of returns, for advantage='whitened' (by token) and 'gigpo' (by turn)."
    )
    dynamic_sampling: bool = _option(
        False, "Replace groups with equal rewards by fresh ones until the batch is full (DAPO)."
    )
    resample_rounds: int = _option(10, "Most extra generations of a step; DAPO's code: 10.")
    overlong_tokens: int = _option(
        0, "Last tokens of a completion over which the soft over-long penalty falls to -1; 0: off."
    )

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: naming the values and the cure.
        """
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                raise ValueError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")
        for name, (low, high, open_low) in RANGES.items():
            check_range(name, getattr(self, name), low, high, open_low=open_low)
        check_divergence(self.divergence, self.divergence_beta)
        for refused, why in RULES:
            if refused(self):
                values = {f.name: getattr(self, f.name) for f in fields(Method)}
                raise ValueError(why.format(**values))
        if self.use == "weight":
            self._check_weight()

    def weight_function(self) -> Weight:
        """The weight that is named.

        Raises:
            ValueError: for an unknown name, or a function that asks for an unknown signal.
        """
        if self.weight in WEIGHTS:
            function = WEIGHTS[self.weight]
            bounds = {"low": self.signed_min, "high": self.signed_max} if bounded(function) else {}
            return as_weight(self.weight, function, **bounds)
        if ":" not in self.weight:
            raise ValueError(
                f"weight is {self.weight!r}; choose one of {', '.join(WEIGHTS)}, or name a "
                "function of yours as package.module:function or path.py:function."
            )
        return as_weight(self.weight, import_function(self.weight, "weight"))

    def weighs_alone(self) -> bool:
        """Whether the weight is made of what the student says, without any teacher."""
        if self.teacher != "none" or self.use != "weight":
            return False
        return set(self.weight_function().signals) <= OF_THE_STUDENT

    def asks_for(self, signal: str) -> bool:
        """Whether the weight is made of a signal."""
        return self.use == "weight" and signal in self.weight_function().signals

    @property
    def weighs_in_update(self) -> bool:
        """Whether a weight needs no more than the update's own forward and what is known before."""
        if self.use != "weight" or self.teacher == "none" or self.weight not in PER_TOKEN:
            return False
        if self.weight_normalisation == "batch":
            return False
        return self.threshold_scope == "previous" or not self._needs_the_step

    @property
    def _needs_the_step(self) -> bool:
        """Whether c or lambda is made of what is known of all tokens of a step."""
        return self.trust == "auc" or (self.needs_divergence and self.threshold_fixed is None)

    @property
    def contrasts(self) -> bool:
        """Whether a second teacher is shown a failed rollout."""
        return self.asks_for("contrast_kl") or self.asks_for("contrast_log_ratio")

    @property
    def needs_divergence(self) -> bool:
        """Whether D is taken: for the weight, for the diversity of unsolved groups, or as a record.

        Weights of log-probs alone do without, since D is what needs the whole vocabulary.
        """
        if self.teacher == "self" and reaches_unsolved(self.reference_set):
            return True
        if self.asks_for("kl") or self.asks_for("credit"):
            return True
        return not (self.contrasts or self.asks_for("log_ratio") or self.asks_for("teacher_logp"))

    def _check_weight(self) -> None:
        bounds = self.signed_min, self.signed_max
        has_bounds = self.weight in WEIGHTS and bounded(WEIGHTS[self.weight])
        if bounds != (0.0, 2.0) and not has_bounds:
            raise ValueError(
                f"signed_min={bounds[0]} and signed_max={bounds[1]} clip weights with a sign, "
                f"which weight={self.weight!r} is not; set weight='signed', or leave them out."
            )
        self._check_previous()
        if self.asks_for("disagreement") and self.references < 2:
            raise ValueError(
                f"weight={self.weight!r} compares several references, but references is "
                f"{self.references}; set it to 2 or more."
            )
        shows = self.teacher, self.reference_kind, self.references
        if self.contrasts and shows != ("self", "verified", 1):
            raise ValueError(
                f"weight={self.weight!r} compares a teacher shown a verified rollout with one "
                f"shown a failed, but teacher, reference_kind and references are {shows}; set "
                "them to 'self', 'verified' and 1."
            )
        if self.contrasts and reaches_unsolved(self.reference_set):
            raise ValueError(
                f"weight={self.weight!r} needs a verified and a failed rollout of the group, but "
                f"reference_set={self.reference_set!r} reaches groups without; set it to 'partial' "
                "or 'any-partial'."
            )

    def _check_previous(self) -> None:
        if self.threshold_scope != "previous":
            return
        if not self.weighs_in_update:
            raise ValueError(
                f"threshold_scope='previous' weighs each token before all of its step are known, "
                f"which weight={self.weight!r} with teacher={self.teacher!r} and "
                f"weight_normalisation={self.weight_normalisation!r} cannot do; set weight to one "
                f"of {', '.join(sorted(PER_TOKEN))} without weight_normalisation='batch', or "
                "threshold_scope='batch'."
            )
        if not self._needs_the_step:
            raise ValueError(
                f"threshold_scope='previous' is about c and lambda of the step before, of which "
                f"weight={self.weight!r} with trust={self.trust!r} and "
                f"threshold_fixed={self.threshold_fixed} needs neither; leave threshold_scope out."
            )
