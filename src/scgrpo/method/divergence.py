"""Section 2: per-token divergence between teacher and student, dense. The readable truth.

Shapes: V vocabulary, `*B` any leading shape. All results are float32, in nats, clamped at 0 from
below, and differentiable in both arguments.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import log_softmax

KINDS = ("forward", "reverse", "bidirectional", "jsd")


def summed(terms: Float[Tensor, "*B V"]) -> Float[Tensor, "*B"]:
    """The divergence of its terms, at least 0."""
    return terms.sum(-1).clamp(min=0)


def entry_clipped(terms: Float[Tensor, "*B V"], clip: float) -> Float[Tensor, "*B 2"]:
    """Divergence whose terms are each at most `clip` (OPSD, section 6), and, detached, the whole.

    A clipped entry has no gradient. Negative terms stay, so that the sum may be negative.
    """
    return torch.stack([terms.clamp(max=clip).sum(-1), terms.detach().sum(-1)], dim=-1)


def per_token_divergence(
    teacher_logits: Float[Tensor, "*B V"],
    student_logits: Float[Tensor, "*B V"],
    kind: str = "forward",
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    reduce: Callable[[Tensor], Tensor] = summed,
) -> Float[Tensor, "*BR"]:
    """Divergence of the next-token distributions p (teacher) and q (student) at each position.

    Args:
        teacher_logits: `(*B, V)` of any float type; upcast once to float32.
        student_logits: `(*B, V)`.
        kind: `forward` KL(p||q), the D of the paper; `reverse` KL(q||p); `bidirectional`
            beta KL(p||q) + (1 - beta) KL(q||p); `jsd` beta KL(p||m) + (1 - beta) KL(q||m) with
            m = beta p + (1 - beta) q.
        beta: share of the teacher's direction in `bidirectional` and of the teacher in `jsd`.
        temperature: sampling temperature by which both logits are divided.
        reduce: what is made of the terms `(*B, V)`, the parts of the vocabulary entries.

    Returns:
        `(*B)` float32, nats, at least 0; or what `reduce` makes.

    Raises:
        ValueError: for an unknown kind or a beta outside of (0, 1) for `jsd`.
    """
    check_divergence(kind, beta)
    log_p = log_softmax(teacher_logits.float() / temperature, dim=-1)
    log_q = log_softmax(student_logits.float() / temperature, dim=-1)
    if kind == "forward":
        terms = _kl(log_p, log_q)
    elif kind == "reverse":
        terms = _kl(log_q, log_p)
    elif kind == "bidirectional":
        terms = beta * _kl(log_p, log_q) + (1 - beta) * _kl(log_q, log_p)
    else:
        log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log(1 - beta))
        terms = beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)
    return reduce(terms)


def disagreement(
    teacher_logits: Float[Tensor, "J *B V"], *, temperature: float = 1.0
) -> Float[Tensor, "*B"]:
    """E_j KL(p_j || pbar) of J equally likely teachers, pbar their mean (section 7).

    The part of the distillation loss that has no gradient, though it marks the positions at which
    the references go different ways.

    Args:
        teacher_logits: `(J, *B, V)` of any float type.
        temperature: sampling temperature by which the logits are divided.

    Returns:
        `(*B)` float32, nats, at least 0; at most log J.
    """
    log_p = log_softmax(teacher_logits.float() / temperature, dim=-1)
    log_mean = log_p.logsumexp(0) - math.log(log_p.shape[0])
    return _kl(log_p, log_mean.expand_as(log_p)).sum(-1).mean(0).clamp(min=0)


def check_divergence(kind: str, beta: float) -> None:
    """Refuse an unknown divergence.

    Raises:
        ValueError: for an unknown kind or a beta outside of (0, 1) for `jsd`.
    """
    if kind not in KINDS:
        raise ValueError(f"divergence is {kind!r}; choose one of {', '.join(KINDS)}.")
    if kind == "jsd" and not 0 < beta < 1:
        raise ValueError(f"jsd needs a beta between 0 and 1, got {beta}; 0.5 is symmetric.")


def _kl(log_p: Float[Tensor, "*B V"], log_q: Float[Tensor, "*B V"]) -> Float[Tensor, "*B V"]:
    return log_p.exp() * (log_p - log_q)
