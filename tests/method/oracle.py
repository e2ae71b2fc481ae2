"""The paper in float64 NumPy, with plain loops, written from docs/method.md and not from the code.

Shared by the tests of `scgrpo.method`; slow and obvious on purpose.
"""

import math

import numpy as np

PLAIN, PARTIAL, NONE = 0, 1, 2


def verified(reward, solve_threshold=1.0):
    return [(not math.isnan(r)) and r >= solve_threshold for r in reward]


def route(reward, reference_set, solve_threshold=1.0):
    """Route of one group, section 4; NaN rewards are unscored."""
    scored = [r for r in reward if not math.isnan(r)]
    if not scored:
        return PLAIN
    n_c, size = sum(verified(scored, solve_threshold)), len(scored)
    solves_some = {
        "partial": 2 <= n_c < size,
        "partial+none": 2 <= n_c < size,
        "any-partial": n_c >= 1,
        "all-correct": n_c == size and size >= 2,
        "all": n_c >= 1,
    }[reference_set]
    if solves_some:
        return PARTIAL
    if n_c == 0 and reference_set in ("partial+none", "all"):
        return NONE
    return PLAIN


def softmax(logits, temperature=1.0):
    scaled = [float(x) / temperature for x in logits]
    top = max(scaled)
    total = sum(math.exp(x - top) for x in scaled)
    log_total = top + math.log(total)
    return [x - log_total for x in scaled]


def kl(log_p, log_q):
    return sum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))


def divergence(teacher, student, kind="forward", beta=0.5, temperature=1.0):
    """Divergence of one position from two lists of logits, section 2 and 6."""
    log_p, log_q = softmax(teacher, temperature), softmax(student, temperature)
    if kind == "forward":
        value = kl(log_p, log_q)
    elif kind == "reverse":
        value = kl(log_q, log_p)
    elif kind == "bidirectional":
        value = beta * kl(log_p, log_q) + (1 - beta) * kl(log_q, log_p)
    else:
        mixture = [
            np.logaddexp(a + math.log(beta), b + math.log(1 - beta))
            for a, b in zip(log_p, log_q, strict=True)
        ]
        value = beta * kl(log_p, mixture) + (1 - beta) * kl(log_q, mixture)
    return max(value, 0.0)


def percentile(values, percent):
    """Linear interpolation between the two nearest order statistics."""
    ordered = sorted(values)
    position = percent / 100 * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def threshold(values, percent=75.0, c_min=1e-4):
    return max(percentile(values, percent), c_min) if len(values) else c_min


def weight(d, c):
    return d / (d + c)


def normalised(values, eps):
    """(value - mean) / (sample std + eps); None stands for a missing value."""
    present = [v for v in values if v is not None]
    if len(present) < 2 or max(present) == min(present):
        return [0.0] * len(values)
    mean = sum(present) / len(present)
    std = math.sqrt(sum((v - mean) ** 2 for v in present) / (len(present) - 1))
    return [0.0 if v is None else (v - mean) / (std + eps) for v in values]


def group_advantage(reward, eps=1e-6):
    return normalised([None if math.isnan(r) else r for r in reward], eps)


def diversity_score(kl_of_tokens, written, reference_length):
    """s_i: mean of D over the first min(|o_i|, |o_r|) tokens that the model wrote."""
    own = [d for d, mine in zip(kl_of_tokens, written, strict=True) if mine]
    compared = own[: min(len(own), reference_length)]
    return sum(compared) / len(compared) if compared else 0.0


def diversity_advantage(scores, alpha=0.1, eps=1e-6):
    return [alpha * a for a in normalised(scores, eps)]


def surrogate(logp, old_logp, advantage, eps_low, eps_high):
    """-min(rho A, clip(rho) A) of one token."""
    rho = math.exp(logp - old_logp)
    clipped = min(max(rho, 1 - eps_low), 1 + eps_high)
    return -min(rho * advantage, clipped * advantage)


def sequence_mean(losses, masks):
    """1/B sum_i 1/|o_i| sum_t; an empty rollout adds 0."""
    total = 0.0
    for row, mask in zip(losses, masks, strict=True):
        own = [x for x, mine in zip(row, mask, strict=True) if mine]
        total += sum(own) / len(own) if own else 0.0
    return total / len(losses)


def token_mean(losses, masks):
    own = [
        x
        for row, mask in zip(losses, masks, strict=True)
        for x, m in zip(row, mask, strict=True)
        if m
    ]
    return sum(own) / len(own) if own else 0.0
