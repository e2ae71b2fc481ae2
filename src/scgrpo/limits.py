"""What the fields of a `Method` may be, one by one and together, and what is said otherwise."""

from collections.abc import Callable
from math import isfinite
from typing import Any

from scgrpo.method.references import REFERENCE_KINDS
from scgrpo.method.routing import REFERENCE_SETS, reaches_unsolved

ADVANTAGES = ("group", "whitened", "gtpo", "gigpo", "none")
TEACHERS = ("none", "self", "demonstration", "model")
USES = ("none", "weight", "loss")
SCOPES = ("batch", "micro_batch", "previous")
PARTLY = ("partial", "any-partial")
SOLVED = ("all-correct", "all")
TEACHER_WEIGHTS = ("current", "initial")
REDUCTIONS = ("mean", "max")
DRAWS = ("shared", "independent")
REPLACES = ("zero", "always")
CLIPPED = ("entry", "token")
TRUSTS = ("none", "auc", "fixed", "scheduled")
NORMALISATIONS = ("none", "sequence", "batch")

CHOICES: dict[str, tuple[str, ...]] = {
    "advantage": ADVANTAGES,
    "teacher": TEACHERS,
    "use": USES,
    "reference_set": REFERENCE_SETS,
    "reference_kind": REFERENCE_KINDS,
    "reference_reduction": REDUCTIONS,
    "reference_draw": DRAWS,
    "diversity_replaces": REPLACES,
    "divergence_clip_of": CLIPPED,
    "threshold_scope": SCOPES,
    "teacher_weights": TEACHER_WEIGHTS,
    "trust": TRUSTS,
    "weight_normalisation": NORMALISATIONS,
}

_INF = float("inf")
RANGES: dict[str, tuple[float, float, bool]] = {
    "references": (1, _INF, False),
    "memory_size": (0, _INF, False),
    "memory_age": (1, _INF, False),
    "diversity_alpha": (0, _INF, False),
    "threshold_percentile": (0, 100, False),
    "threshold_min": (0, _INF, True),
    "threshold_fixed": (0, _INF, True),
    "signed_min": (0, 1, False),
    "signed_max": (1, _INF, False),
    "trust_decay": (0, 1, False),
    "trust_value": (0, 1, False),
    "trust_steps": (1, _INF, False),
    "divergence_beta": (0, 1, False),
    "divergence_clip": (0, _INF, True),
    "loss_coefficient": (0, _INF, True),
    "loss_coefficient_start": (0, _INF, False),
    "loss_warmup_steps": (0, _INF, False),
    "reward_kl": (0, _INF, False),
    "discount": (0, 1, True),
    "resample_rounds": (1, _INF, False),
    "overlong_tokens": (0, _INF, False),
}
"""Smallest and largest value, and whether the smallest itself is excluded."""

RULES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (
        lambda m: not isfinite(m.solve_threshold),
        "solve_threshold is {solve_threshold}; it must be a finite number, the reward from which "
        "on a rollout counts as solved.",
    ),
    (
        lambda m: (m.teacher == "none") != (m.use == "none") and not m.weighs_alone(),
        "teacher={teacher!r} with use={use!r} does nothing: a teacher needs a use and a use needs "
        "a teacher, but for a weight of the student's own signals (weight='entropy' or 'tr-grpo'); "
        "set both to 'none', or teacher='self' and use='weight'.",
    ),
    (
        lambda m: m.advantage == "none" and m.use != "loss",
        "advantage='none' with use={use!r} has nothing to learn from; set use='loss', which learns "
        "from the teacher alone, or advantage='group'.",
    ),
    (
        lambda m: m.teacher == "self" and m.use == "loss" and reaches_unsolved(m.reference_set),
        "reference_set={reference_set!r} gives unsolved groups a failed rollout as reference, and "
        "use='loss' would imitate it; set reference_set='partial' or 'any-partial'.",
    ),
    (
        lambda m: m.teacher == "model" and m.teacher_model is None,
        "teacher='model' needs teacher_model: the hub id or folder of a model with the policy's "
        "vocabulary.",
    ),
    (
        lambda m: m.teacher != "model" and m.teacher_model is not None,
        "teacher_model={teacher_model!r} is not asked by teacher={teacher!r}; set teacher='model', "
        "or leave teacher_model out.",
    ),
    (
        lambda m: m.teacher_weights == "initial" and m.teacher not in ("self", "demonstration"),
        "teacher_weights='initial' is for a teacher that is the policy itself; teacher={teacher!r} "
        "has no such weights: set teacher to 'self' or 'demonstration', or teacher_weights to "
        "'current'.",
    ),
    (
        lambda m: m.teacher != "self" and (m.memory_size > 0 or m.references > 1),
        "memory_size={memory_size} and references={references} are about own rollouts, which "
        "teacher={teacher!r} does not show; set teacher='self', or memory_size=0 and references=1.",
    ),
    (
        lambda m: m.teacher != "self" and m.reference_draw != "shared",
        "reference_draw={reference_draw!r} is about own rollouts, which teacher={teacher!r} does "
        "not show; set teacher='self', or leave reference_draw out.",
    ),
    (
        lambda m: m.use == "loss" and m.references > 1,
        "references={references} with use='loss' would distil towards a mean of teachers, which "
        "may solve nothing (section 7 of the method); set references=1, or use='weight'.",
    ),
    (
        lambda m: m.loss_coefficient_start is not None and m.loss_warmup_steps == 0,
        "loss_coefficient_start={loss_coefficient_start} needs loss_warmup_steps: how many steps "
        "the coefficient takes to reach loss_coefficient.",
    ),
    (
        lambda m: m.reference_kind != "verified" and (m.teacher != "self" or m.memory_size > 0),
        "reference_kind={reference_kind!r} says which own rollout is shown, but teacher is "
        "{teacher!r} and memory_size is {memory_size}; set teacher='self' and memory_size=0.",
    ),
    (
        lambda m: m.reference_kind != "verified" and m.reference_set not in PARTLY,
        "reference_kind={reference_kind!r} is for groups with verified and failed rollouts, but "
        "reference_set is {reference_set!r}; set it to 'partial' or 'any-partial'.",
    ),
    (
        lambda m: m.use == "loss" and m.reference_kind != "verified",
        "reference_kind={reference_kind!r} with use='loss' would imitate what is no solution; set "
        "use='weight', or reference_kind='verified'.",
    ),
    (
        lambda m: m.use != "weight" and (m.trust, m.weight_normalisation) != ("none", "none"),
        "trust={trust!r} and weight_normalisation={weight_normalisation!r} are about weights, "
        "which use={use!r} has none of; set use='weight', or both to 'none'.",
    ),
    (
        lambda m: m.teacher == "none" and m.trust != "none",
        "trust={trust!r} is about a teacher, and teacher={teacher!r} is none; set trust='none', or "
        "teacher='self'.",
    ),
    (
        lambda m: (m.trust in ("fixed", "scheduled")) != (m.trust_value is not None),
        "trust={trust!r} with trust_value={trust_value}: 'fixed' and 'scheduled' need a "
        "trust_value, and the others have none; set it, or leave it out.",
    ),
    (
        lambda m: (m.trust == "scheduled") != (m.trust_steps is not None),
        "trust={trust!r} with trust_steps={trust_steps}: 'scheduled' needs the steps within which "
        "it falls to 0, and the others have none; set trust_steps, or leave it out.",
    ),
    (
        lambda m: m.threshold_scope == "previous" and m.use != "weight",
        "threshold_scope={threshold_scope!r} is about weights, which use={use!r} has none of; set "
        "use='weight', or threshold_scope='batch'.",
    ),
    (
        lambda m: m.threshold_scope == "previous" and m.reference_set in SOLVED,
        "threshold_scope={threshold_scope!r} takes D from the update, which does not read the "
        "solved groups of reference_set={reference_set!r}; set reference_set to 'partial+none', "
        "'partial' or 'any-partial', or threshold_scope='batch'.",
    ),
    (
        lambda m: m.advantage not in ("whitened", "gigpo") and m.discount < 1,
        "discount={discount} shapes returns of tokens or turns, which advantage={advantage!r} does "
        "not have; set advantage='whitened' or 'gigpo', or discount=1.",
    ),
    (
        lambda m: m.advantage != "whitened" and m.reward_kl > 0,
        "reward_kl={reward_kl} shapes returns per token, which advantage={advantage!r} does not "
        "have; set advantage='whitened', or use TRL's beta for a KL in the loss.",
    ),
)
"""What refuses a method, and the sentence that says so; in braces its fields."""


def check_range(name: str, value: float | None, low: float, high: float, *, open_low: bool) -> None:
    """Refuse a number outside of its range; None is left to the rules.

    Raises:
        ValueError: naming field, value and range.
    """
    if value is None or (low <= value <= high and not (open_low and value == low)):
        return
    if high < _INF:
        raise ValueError(f"{name} is {value}; it must lie between {low:g} and {high:g}.")
    relation = "above" if open_low else "at least"
    raise ValueError(f"{name} is {value}; it must be {relation} {low:g}.")
