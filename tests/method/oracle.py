"""The paper in float64 NumPy, with plain loops, written from docs/method.md and not from the code.

Shared by the tests of `scgrpo.method`; slow and obvious on purpose.
"""

import math

import numpy as np

PLAIN, PARTIAL, NONE = 0, 1, 2


def verified(reward, solve_threshold=1.0):
    return [(not math.isnan(r)) and r >= solve_threshold for r in reward]


def route(reward, reference_set, solve_threshold=1.0, remembered=0):
    """Route of one group, section 4; NaN rewards are unscored.

    A lone verified rollout makes a partial group where others are remembered from earlier steps.
    """
    scored = [r for r in reward if not math.isnan(r)]
    if not scored:
        return PLAIN
    n_c, size = sum(verified(scored, solve_threshold)), len(scored)
    partial = 1 <= n_c < size and n_c + remembered >= 2
    any_partial, solved = 1 <= n_c < size, n_c == size >= 2
    solves_some = {
        "partial": partial,
        "partial+none": partial,
        "any-partial": any_partial,
        "all-correct": solved,
        "all": any_partial or solved,
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


def entry_clipped(teacher, student, clip, kind="forward", beta=0.5, temperature=1.0):
    """OPSD: the part of each vocabulary entry is at most `clip`, and the parts are summed.

    Returns the sum, which may be negative, and its gradient at the student's logits. With parts
    F_v(q_v), U the entries that are not clipped, and g_v = dF_v/dq_v, the gradient is
    q_k (g_k [k in U] - sum_U q_v g_v) / T, as dq_v/dz_k = q_v ([v = k] - q_k) / T.
    """
    log_p, log_q = softmax(teacher, temperature), softmax(student, temperature)
    parts, slopes = [], []
    for log_a, log_b in zip(log_p, log_q, strict=True):
        a, b = math.exp(log_a), math.exp(log_b)
        forward, reverse = a * (log_a - log_b), b * (log_b - log_a)
        if kind == "jsd":
            log_m = np.logaddexp(log_a + math.log(beta), log_b + math.log(1 - beta))
            part = beta * a * (log_a - log_m) + (1 - beta) * b * (log_b - log_m)
            slope = (1 - beta) * (log_b - log_m)
        else:
            share = {"forward": 1, "reverse": 0, "bidirectional": beta}[kind]
            part = share * forward + (1 - share) * reverse
            slope = -share * a / b + (1 - share) * (log_b - log_a + 1)
        parts.append(min(part, clip))
        slopes.append(slope if part < clip else 0.0)
    q = [math.exp(x) for x in log_q]
    drift = sum(b * g for b, g in zip(q, slopes, strict=True))
    gradient = [b * (g - drift) / temperature for b, g in zip(q, slopes, strict=True)]
    return sum(parts), gradient


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


def diversity_score(kl_of_tokens, written, reference_length, c):
    """s_i: mean of the weight f(D) over the first min(|o_i|, |o_r|) tokens that the model wrote."""
    own = [weight(d, c) for d, mine in zip(kl_of_tokens, written, strict=True) if mine]
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


def disagreement(teachers, temperature=1.0):
    """E_j KL(p_j || pbar) of equally likely teachers given by their logits, section 7."""
    log_ps = [softmax(t, temperature) for t in teachers]
    mean = [
        math.log(sum(math.exp(p[v]) for p in log_ps) / len(log_ps)) for v in range(len(log_ps[0]))
    ]
    return sum(kl(p, mean) for p in log_ps) / len(log_ps)


def divergence_gradient(teacher, student, kind="forward", beta=0.5, temperature=1.0):
    """Gradient of `divergence` with respect to the student's logits, worked by hand.

    forward: (q - p) / T. reverse: q (log q/p - KL(q||p)) / T. jsd: (1 - beta) q (log q/m -
    KL(q||m)) / T, since the terms through m cancel. bidirectional: the weighted sum.
    """
    log_p, log_q = softmax(teacher, temperature), softmax(student, temperature)
    p, q = [math.exp(x) for x in log_p], [math.exp(x) for x in log_q]

    def towards(log_target):
        whole = kl(log_q, log_target)
        return [
            b * (log_b - target - whole)
            for b, log_b, target in zip(q, log_q, log_target, strict=True)
        ]

    forward = [b - a for a, b in zip(p, q, strict=True)]
    if kind == "forward":
        found = forward
    elif kind == "reverse":
        found = towards(log_p)
    elif kind == "bidirectional":
        found = [beta * f + (1 - beta) * r for f, r in zip(forward, towards(log_p), strict=True)]
    else:
        log_m = [
            np.logaddexp(a + math.log(beta), b + math.log(1 - beta))
            for a, b in zip(log_p, log_q, strict=True)
        ]
        found = [(1 - beta) * x for x in towards(log_m)]
    return [x / temperature for x in found]


def surrogate_gradient(student, token, old_logp, advantage, eps_low, eps_high, temperature=1.0):
    """Gradient of `surrogate` with respect to the student's logits."""
    log_q = softmax(student, temperature)
    rho = math.exp(log_q[token] - old_logp)
    clipped = min(max(rho, 1 - eps_low), 1 + eps_high)
    # Where the clipped branch is the smaller one and differs, it is a constant.
    slope = -rho * advantage if rho * advantage <= clipped * advantage else 0.0
    return [
        slope * ((1.0 if v == token else 0.0) - math.exp(x)) / temperature
        for v, x in enumerate(log_q)
    ]


def token_returns(reward, kl_of_tokens, written, kl_coefficient, discount):
    """Returns of one rollout, REINFORCE++: forwards, by the definition of a return."""
    own = [t for t, mine in enumerate(written) if mine]
    gains = [-kl_coefficient * kl_of_tokens[t] for t in own]
    if gains:
        gains[-1] += reward
    returns = [0.0] * len(written)
    for place, t in enumerate(own):
        returns[t] = sum(discount**later * g for later, g in enumerate(gains[place:]))
    return returns


def whitened(returns, masks, eps=1e-8):
    """(value - mean) / (sample std + eps) over all tokens of the batch."""
    flat = [
        v if mine else None
        for row, mask in zip(returns, masks, strict=True)
        for v, mine in zip(row, mask, strict=True)
    ]
    normal = iter(normalised(flat, eps))
    return [[next(normal) for _ in row] for row in returns]
