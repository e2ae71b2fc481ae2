"""Other methods of token-level credit, as presets; what each was taken from: docs/presets.md."""

from collections.abc import Callable

from scgrpo.presets.paper import Fields, dapo, grpo, sc_grpo


def entropy_top20() -> Fields:
    """DAPO on the fifth of the batch's tokens with the highest entropy."""
    return dapo() | {
        "use": "weight",
        "weight": "entropy",
        "threshold_scope": "batch",
    }


def gtpo() -> Fields:
    """DAPO with token rewards shaped by entropy, verified and failed rollouts apart."""
    return dapo() | {"advantage": "gtpo", "solve_threshold": 1.0}


def gigpo() -> Fields:
    """GRPO with turns compared as well that answer to the same observation."""
    return grpo() | {"advantage": "gigpo", "discount": 0.95}


def tr_grpo() -> Fields:
    """GRPO with each token weighted by its own probability."""
    return grpo() | {"use": "weight", "weight": "tr-grpo"}


def gspo_token() -> Fields:
    """GRPO with the ratio and the clipping of sequences, in the form that takes token credit."""
    return grpo() | {
        "importance_sampling_level": "sequence",
        "epsilon": 3e-4,
        "epsilon_high": 4e-4,
    }


def sdpo() -> Fields:
    """Distillation from the policy shown an own verified rollout; no reward."""
    return grpo() | {
        "advantage": "none",
        "teacher": "self",
        "use": "loss",
        "loss_type": "dapo",
        "reference_set": "any-partial",
        "solve_threshold": 1.0,
        "teacher_weights": "current",
        "divergence": "jsd",
        "divergence_beta": 0.5,
        "divergence_clip": None,
        "loss_coefficient": 1.0,
        "loss_coefficient_start": None,
    }


def _signed(weight: str) -> Fields:
    return sc_grpo() | {"weight": weight, "reference_set": "any-partial"}


def rlsd() -> Fields:
    """GRPO tilted by which way the teacher points, less so from step to step, until step 50."""
    return _signed("signed") | {
        "signed_min": 0.8,
        "signed_max": 1.2,
        "trust": "scheduled",
        "trust_value": 0.5,
        "trust_steps": 50,
    }


def rlrt() -> Fields:
    """GRPO whose successes are tilted towards what the teacher would not have written."""
    return _signed("rlrt") | {
        "signed_min": 0.0,
        "signed_max": 2.0,
        "trust": "fixed",
        "trust_value": 0.5,
    }


def rlcsd() -> Fields:
    """GRPO with what a verified reference says more than a failed one added to the advantage."""
    return _signed("rlcsd")


def cscr() -> Fields:
    """GRPO with less weight on tokens that any reference shifts, renormalised in each rollout."""
    return _signed("cscr") | {"weight_normalisation": "sequence"}


RIVALS: dict[str, Callable[[], Fields]] = {
    "entropy-top20": entropy_top20,
    "gtpo": gtpo,
    "gigpo": gigpo,
    "tr-grpo": tr_grpo,
    "gspo-token": gspo_token,
    "sdpo": sdpo,
    "rlsd": rlsd,
    "rlrt": rlrt,
    "rlcsd": rlcsd,
    "cscr": cscr,
}
