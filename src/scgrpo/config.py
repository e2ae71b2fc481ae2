"""A method as three choices: an advantage, a teacher, and a use of the teacher's divergence.

Every row of the paper's tables is one combination (section 6 of docs/method.md).
"""

from dataclasses import dataclass

from scgrpo.method.routing import REFERENCE_SETS

ADVANTAGES = ("group",)
TEACHERS = ("none", "self")
USES = ("none", "weight")
SCOPES = ("batch", "micro_batch")


@dataclass(frozen=True)
class Method:
    """What the reward says (`advantage`), who is asked (`teacher`), and to what end (`use`)."""

    advantage: str = "group"
    """`group`: rewards normalised within each group (section 1)."""
    teacher: str = "self"
    """`none`, or `self`: the policy itself, shown a rollout of the same group (section 2)."""
    use: str = "weight"
    """`none`, or `weight`: f(D) multiplies the clipped surrogate (section 3)."""
    reference_set: str = "partial+none"
    """Which groups have references (section 4): the rows of the routing ablation."""
    solve_threshold: float = 1.0
    """Smallest verifier reward that counts as solved."""
    diversity_alpha: float = 0.1
    """Scale of the diversity advantage in groups without a verified rollout; paper: 0.1."""
    threshold_percentile: float = 75.0
    """Percentile of D that becomes the scale c; paper: 75."""
    threshold_min: float = 1e-4
    """Floor of c in nats; paper: 1e-4."""
    threshold_fixed: float | None = None
    """A fixed c in nats instead of the percentile (an ablation of the paper)."""
    threshold_scope: str = "batch"
    """`batch`: one c for all tokens of an optimizer step; `micro_batch`: the paper's words."""

    def __post_init__(self) -> None:
        _one_of("advantage", self.advantage, ADVANTAGES)
        _one_of("teacher", self.teacher, TEACHERS)
        _one_of("use", self.use, USES)
        _one_of("reference_set", self.reference_set, REFERENCE_SETS)
        _one_of("threshold_scope", self.threshold_scope, SCOPES)
        if (self.teacher == "none") != (self.use == "none"):
            raise ValueError(
                f"teacher={self.teacher!r} with use={self.use!r} does nothing: a teacher needs a "
                "use and a use needs a teacher; set both to 'none', or teacher='self' and "
                "use='weight'."
            )
        _in_range("solve_threshold", self.solve_threshold, 0, 1, open_low=True)
        _in_range("threshold_percentile", self.threshold_percentile, 0, 100)
        _positive("threshold_min", self.threshold_min)
        if self.threshold_fixed is not None:
            _positive("threshold_fixed", self.threshold_fixed)
        if self.diversity_alpha < 0:
            raise ValueError(
                f"diversity_alpha is {self.diversity_alpha}; it must be at least 0 "
                "(the paper's value is 0.1)."
            )


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")


def _in_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    if not low <= value <= high or (open_low and value == low):
        raise ValueError(f"{name} is {value}; it must lie between {low} and {high}.")


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} is {value}; it must be above 0 nats (the paper's c_min is 1e-4).")
