"""What each preset means, and its loss and gradient in float64 NumPy from logits.

Written from docs/method.md and docs/presets.md: nothing here reads the fields of a preset or calls
the library. Gradients are with respect to the student's logits; the chain rule below them is
autograd's.

REINFORCE++: arXiv 2501.03262, Eq. 8 (advantage), 9 (KL in the reward) and 10 (normalisation over
the batch), numbered as the documentation of RLinf 0.2 quotes them. OPSD: arXiv 2601.18734, the
divergence over the full vocabulary along the student's rollouts; the part of each entry is clipped
before the sum, as the authors' code has it and docs/presets.md says.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from tests.method import oracle


@dataclass(frozen=True)
class Meaning:
    """A row of the paper's tables."""

    advantage: str = "group"
    fresh: bool = False
    """Whether groups of equal rewards are replaced."""
    ratio: str = "token"
    """Whose ratio is clipped: `token` or `sequence`."""
    mean: str = "rollouts"
    """What counts the same: `rollouts` or `tokens`."""
    clip: tuple[float, float] = (0.2, 0.2)
    reward_kl: float = 0.0
    teacher: str = ""
    """`self` (own rollouts), `demonstration` or `model`."""
    frozen: bool = False
    routes: str = ""
    """Groups that have references, for `self`."""
    references: int = 1
    reduce: str = "mean"
    memory: int = 0
    alpha: float = 0.1
    weight: str = ""
    contrast: bool = False
    """Whether a second teacher is shown a failed rollout, and only who has both is weighted."""
    gated: bool = False
    """Whether the weight is believed as far as the teacher ranks verified above failed rollouts."""
    percent: float = 75.0
    fixed: float | None = None
    added: str = ""
    """Divergence beside the surrogate."""
    coefficient: float = 0.0
    start: float | None = None
    ceiling: float | None = None
    """Nats above which the part of a vocabulary entry is constant."""


_SELF = Meaning(teacher="self", routes="partial+none", weight="credit")
_ADDED = Meaning(teacher="self", routes="partial", coefficient=0.1)
_DAPO = Meaning(mean="tokens", clip=(0.2, 0.28), fresh=True)


def _sc(**fields):
    return replace(_SELF, **fields)


def _added(divergence, **fields):
    return replace(_ADDED, added=divergence, **fields)


MEANINGS = {
    "grpo": Meaning(),
    "dapo": _DAPO,
    "reinforce++": Meaning("whitened", mean="tokens", reward_kl=0.01),
    "opsd": Meaning(
        "none", teacher="demonstration", frozen=True, added="forward", coefficient=1.0,
        ceiling=0.05,
    ),
    "opd": Meaning("none", teacher="model", added="reverse", coefficient=1.0),
    "sc-grpo": _sc(),
    "sc-grpo-partial": _sc(routes="partial"),
    "sc-grpo-any-partial": _sc(routes="any-partial"),
    "sc-grpo-all-correct": _sc(routes="all-correct"),
    "sc-grpo-all": _sc(routes="all"),
    "sc-grpo-p25": _sc(percent=25.0),
    "sc-grpo-p50": _sc(percent=50.0),
    "sc-grpo-p90": _sc(percent=90.0),
    "sc-grpo-fixed-c": _sc(fixed=1e-4),
    "sc-grpo-alpha0.2": _sc(alpha=0.2),
    "grpo+fkl": _added("forward"),
    "grpo+fkl-warmed": _added("forward", start=0.03),
    "grpo+rkl": _added("reverse"),
    "grpo+rkl-warmed": _added("reverse", start=0.03),
    "grpo+bikl": _added("bidirectional"),
    "sc-grpo-memory": _sc(memory=4),
    "sc-grpo-mean4": _sc(references=4),
    "sc-grpo-max4": _sc(references=4, reduce="max"),
    "sc-grpo-disagreement": _sc(references=4, weight="disagreement", routes="partial"),
    "sc-grpo-entropy": _sc(weight="credit*entropy"),
    "sc-grpo-entropy-mixed": _sc(weight="credit+entropy"),
    "sc-grpo-signed": _sc(weight="signed", routes="partial", gated=True),
    "sc-grpo-signed-ungated": _sc(weight="signed", routes="partial"),
    "entropy-top20": replace(_DAPO, weight="top entropy"),
    "gtpo": replace(_DAPO, advantage="gtpo"),
    "gigpo": Meaning("gigpo"),
    "tr-grpo": Meaning(weight="probability"),
    "gspo-token": Meaning(ratio="sequence", clip=(3e-4, 4e-4)),
    "sdpo": Meaning(
        "none", teacher="self", routes="any-partial", mean="tokens", added="jsd", coefficient=1.0
    ),
    "rlsd": _sc(weight="rlsd", routes="any-partial"),
    "rlrt": _sc(weight="rlrt", routes="any-partial"),
    "rlcsd": _sc(weight="rlcsd", routes="any-partial", contrast=True),
    "cscr": _sc(weight="cscr", routes="any-partial", contrast=True),
}  # fmt: skip


@dataclass
class Seen:
    """What the oracle gets of a generation batch, in the order of the rollouts."""

    size: int
    """Rollouts of a group."""
    rewards: list[float]
    completions: list[list[int]]
    student: list[np.ndarray]
    """Logits `(T, V)` that predict each completion."""
    old: list[np.ndarray]
    """Log-probs `(T)` against which the ratio is taken."""
    sampled: list[np.ndarray]
    """Log-probs `(T)` of the policy that sampled."""
    initial: list[np.ndarray]
    """Logits `(T, V)` of the initial policy, for a KL in the reward."""
    taught: list[list[np.ndarray]]
    """Logits `(T, V)` of the teachers of each rollout, none where it has no reference."""
    reference_length: list[int]
    remembered: list[int]
    """Remembered rollouts of each group's problem."""
    temperature: float
    contrast: list[list[np.ndarray]] = field(default_factory=list)
    """Logits `(T, V)` of the teacher that is shown a failed rollout, none where there is none."""
    divergences: dict = field(default_factory=dict)
    earlier: tuple[float, float] = (0.0, 0.0)
    """Pairs of a verified and a failed rollout that the teacher has ranked rightly before, and all
    of them, as they stood after the last batch."""

    @property
    def groups(self):
        """Numbers of the rollouts of each group."""
        everyone = list(range(len(self.rewards)))
        return [everyone[i : i + self.size] for i in range(0, len(everyone), self.size)]

    def routes(self, meaning):
        """Route of each group."""
        return [
            oracle.route(
                [self.rewards[i] for i in group], meaning.routes or "partial", remembered=m
            )
            for group, m in zip(self.groups, self.remembered, strict=True)
        ]


def logp_of(logits, tokens, temperature):
    """Log-probs `(T)` of tokens."""
    return np.array(
        [oracle.softmax(z, temperature)[v] for z, v in zip(logits, tokens, strict=True)]
    )


def kl_to_initial(seen, row):
    """log pi_old - log pi_init `(T)` of the sampled tokens."""
    initial = logp_of(seen.initial[row], seen.completions[row], seen.temperature)
    return seen.sampled[row] - initial


def advantages(meaning, seen):
    """Per-token advantages `[row][t]`."""
    lengths = list(map(len, seen.completions))
    if meaning.advantage == "none":
        return [[0.0] * n for n in lengths]
    if meaning.advantage == "whitened":
        masks = [[True] * n for n in lengths]
        returns = [
            oracle.token_returns(reward, kl_to_initial(seen, row), mask, meaning.reward_kl, 1.0)
            for row, (reward, mask) in enumerate(zip(seen.rewards, masks, strict=True))
        ]
        return oracle.whitened(returns, masks)
    if meaning.advantage == "gtpo":
        return entropy_shaped(seen)
    found = []
    for group, route, remembered in zip(
        seen.groups, seen.routes(meaning), seen.remembered, strict=True
    ):
        rewards = [seen.rewards[i] for i in group]
        if meaning.weight and route == oracle.NONE and min(rewards) == max(rewards):
            scores = [diversity(meaning, seen, row) for row in group]
            sign = -1 if remembered else 1
            found += [sign * a for a in oracle.diversity_advantage(scores, meaning.alpha)]
        else:
            # TRL's 1e-4 beside the standard deviation, where the paper has 1e-6.
            found += oracle.group_advantage(rewards, eps=1e-4)
        if meaning.advantage == "gigpo":  # of one turn each, which answers to the prompt
            turns = oracle.group_advantage(rewards, eps=1e-6)
            found[-len(group) :] = [a + b for a, b in zip(found[-len(group) :], turns, strict=True)]
    return [[a] * n for a, n in zip(found, lengths, strict=True)]


def entropy_shaped(seen):
    """GTPO's advantages `[row][t]`."""
    found = [np.zeros(len(ids)) for ids in seen.completions]
    for group in seen.groups:
        for sign, power in ((1, 1), (-1, -1)):
            kind = [row for row in group if (seen.rewards[row] >= 1.0) == (sign > 0)]
            rewards = {}
            for row in kind:
                for t, h in enumerate(entropy_of(seen, row)):
                    peers = [r for r in kind if len(seen.completions[r]) > t]
                    total = sum(entropy_of(seen, r)[t] ** power for r in peers)
                    rewards[row, t] = sign * (0.9 + 0.1 * len(peers) * h**power / total)
            values = np.array(list(rewards.values()))
            if len(kind) < 2 or len(values) < 2:
                continue
            for (row, t), reward in rewards.items():
                found[row][t] = (reward - values.mean()) / (values.std(ddof=1) + 1e-6)
    return found


def diversity(meaning, seen, row):
    """s_i, None for a rollout without a reference; its f has the c of the generation batch."""
    if not seen.taught[row]:
        return None
    every = [row for row, taught in enumerate(seen.taught) if taught]
    c = scale(meaning, {row: divergence_of(meaning, seen, row) for row in every})
    kl = divergence_of(meaning, seen, row)
    return oracle.diversity_score(kl, [True] * len(kl), seen.reference_length[row], c)


def scale(meaning, values):
    """c of the values `{row: (T)}` of active tokens."""
    return meaning.fixed or oracle.threshold(np.concatenate(list(values.values())), meaning.percent)


def divergence_of(meaning, seen, row):
    """D `(T)`: mean or maximum over the references."""
    if row not in seen.divergences:
        by_reference = [
            [
                oracle.divergence(p, q, temperature=seen.temperature)
                for p, q in zip(teacher, seen.student[row], strict=True)
            ]
            for teacher in seen.taught[row]
        ]
        seen.divergences[row] = {"mean": np.mean, "max": np.max}[meaning.reduce](
            by_reference, axis=0
        )
    return seen.divergences[row]


def disagreement_of(seen, row):
    """E_j KL(p_j || pbar) `(T)`."""
    return np.array(
        [
            oracle.disagreement(list(p), seen.temperature)
            for p in zip(*seen.taught[row], strict=True)
        ]
    )


def entropy_of(seen, row):
    """Entropy `(T)` of the student."""
    logs = [np.array(oracle.softmax(q, seen.temperature)) for q in seen.student[row]]
    return np.array([-(np.exp(log) * log).sum() for log in logs])


def weights(meaning, seen, rows):
    """Weights `{row: (T)}` of the rollouts of one optimizer step that have any."""
    if meaning.weight == "probability":
        return {row: 1 / (1 + np.exp(-5 * np.exp(seen.sampled[row]))) for row in rows}
    if meaning.weight == "top entropy":
        entropy = {row: entropy_of(seen, row) for row in rows}
        high = np.quantile(np.concatenate(list(entropy.values())), 0.8)
        return {row: 1.0 * (h >= high) for row, h in entropy.items()}
    least = 2 if meaning.weight == "disagreement" else 1
    rows = [row for row in rows if len(seen.taught[row]) >= least]
    rows = [row for row in rows if not meaning.contrast or seen.contrast[row]]
    if not meaning.weight or not rows:
        return {}
    if meaning.weight in ("rlsd", "rlrt", "rlcsd", "cscr"):
        every = advantages(meaning, seen)
        return {row: tilted(meaning, seen, row, every[row][0]) for row in rows}

    def scaled(values):
        """x / (x + c) with the c of these values."""
        c = scale(meaning, values)
        return {row: x / (x + c) for row, x in values.items()}

    if meaning.weight == "signed":
        advantage, trust = advantages(meaning, seen), trust_of(seen) if meaning.gated else 1.0
        found = {}
        for row in rows:
            ratio = np.exp(np.sign(advantage[row]) * log_ratio_of(seen, row))
            found[row] = 1 + trust * (np.clip(ratio, 0, 2) - 1)
        return found
    if meaning.weight == "disagreement":
        return scaled({row: disagreement_of(seen, row) for row in rows})
    credit = scaled({row: divergence_of(meaning, seen, row) for row in rows})
    if meaning.weight == "credit":
        return credit
    entropy = {row: entropy_of(seen, row) for row in rows}
    high = max(np.quantile(np.concatenate(list(entropy.values())), 0.8), 1e-4)
    relative = {row: np.minimum(h / high, 1) for row, h in entropy.items()}
    if meaning.weight == "credit*entropy":
        return {row: credit[row] * relative[row] for row in rows}
    return {row: 0.5 * credit[row] + 0.5 * relative[row] for row in rows}


def log_ratio_of(seen, row):
    """log p_T - log p_S `(T)` of the sampled tokens, by the first teacher."""
    tokens, temperature = seen.completions[row], seen.temperature
    teacher, student = seen.taught[row][0], seen.student[row]
    return logp_of(teacher, tokens, temperature) - logp_of(student, tokens, temperature)


def trust_of(seen):
    """max(0, 2 AUC - 1) of the pairs of a verified and a failed rollout of a group; those of before
    count 0.9 times."""
    wins = []
    for group in seen.groups:
        score = {i: log_ratio_of(seen, i).sum() for i in group if seen.taught[i]}
        good = [s for i, s in score.items() if seen.rewards[i] >= 1]
        bad = [s for i, s in score.items() if seen.rewards[i] < 1]
        wins += [0.5 + 0.5 * np.sign(g - b) for g in good for b in bad]
    won, pairs = (0.9 * before for before in seen.earlier)
    return max(0.0, 2 * float((won + sum(wins)) / (pairs + len(wins))) - 1)


def tilted(meaning, seen, row, advantage):
    """Weights `(T)` of the rivals that read the teachers' log-probs of the sampled tokens."""
    tokens, temperature = seen.completions[row], seen.temperature
    own = logp_of(seen.student[row], tokens, temperature)
    shown = logp_of(seen.taught[row][0], tokens, temperature)
    if meaning.weight == "rlsd":  # at step 40 of 50, lambda is 0.1
        return 0.9 + 0.1 * np.clip(np.exp(np.sign(advantage) * (shown - own)), 0.8, 1.2)
    if meaning.weight == "rlrt":
        return 0.5 + 0.5 * np.clip(np.exp(own - shown), 0, 2) if advantage > 0 else own**0
    failed = logp_of(seen.contrast[row][0], tokens, temperature)
    if meaning.weight == "cscr":
        weight = np.exp(-np.maximum(abs(shown - own), abs(failed - own)))
        return weight / weight.mean()
    added = 0.5 * np.tanh((shown - failed) / 0.02)
    moved = abs(added) > 0.02
    relative = np.maximum(0, 1 + added / advantage) if advantage else own**0
    counts = {True: moved.sum(), False: (~moved).sum()}
    return np.array(
        [(r if m else 1) * len(own) / counts[bool(m)] for r, m in zip(relative, moved, strict=True)]
    )


def coefficient(meaning, warmed_share):
    """Coefficient of the added divergence after a share of its warm-up."""
    start = meaning.coefficient if meaning.start is None else meaning.start
    return start + (meaning.coefficient - start) * warmed_share


def loss_and_gradient(meaning, seen, rows, *, of_step, whole_step=1.0, warmed_share=1.0):
    """Loss of a micro-batch, and its gradient with respect to the student's logits.

    Args:
        meaning: the preset.
        seen: the generation batch.
        rows: rollouts of the micro-batch.
        of_step: rollouts of its optimizer step.
        whole_step: micro-batches of an optimizer step, for a mean over rollouts; for one over
            tokens, tokens of the generation batch are shared among its optimizer steps evenly.
        warmed_share: share of the warm-up that has passed.

    Returns:
        The loss, and `{row: (T, V)}`.
    """
    every, weighed = advantages(meaning, seen), weights(meaning, seen, of_step)
    tokens = sum(map(len, seen.completions)) * len(of_step) / len(seen.completions)
    total, gradients = 0.0, {}
    for row in rows:
        length = len(seen.completions[row])
        scale = 1 / tokens if meaning.mean == "tokens" else 1 / (length * len(rows) * whole_step)
        credit = np.array(every[row]) * weighed.get(row, np.ones(length))
        parts = [_token(meaning, seen, row, t, credit[t], warmed_share) for t in range(length)]
        total += scale * sum(loss for loss, _ in parts)
        gradients[row] = scale * np.array([gradient for _, gradient in parts])
    return total, gradients


def _token(meaning, seen, row, t, credit, warmed_share):
    temperature, logits = seen.temperature, seen.student[row][t]
    token, old = seen.completions[row][t], seen.old[row][t]
    logp = oracle.softmax(logits, temperature)[token]
    if meaning.ratio == "sequence":
        # The mean over tokens of the sequence's own loss has s A / T as its slope in each log-prob.
        now = logp_of(seen.student[row], seen.completions[row], temperature)
        old = logp - np.mean(now - seen.old[row])
    loss = oracle.surrogate(logp, old, credit, *meaning.clip)
    gradient = np.array(
        oracle.surrogate_gradient(logits, token, old, credit, *meaning.clip, temperature)
    )
    if meaning.added and seen.taught[row]:
        pair = (seen.taught[row][0][t], logits, meaning.added)
        share = coefficient(meaning, warmed_share)
        if meaning.ceiling is None:
            added = oracle.divergence(*pair, temperature=temperature)
            slope = oracle.divergence_gradient(*pair, temperature=temperature)
        else:
            teacher, student, kind = pair
            added, slope = oracle.entry_clipped(
                teacher, student, meaning.ceiling, kind, temperature=temperature
            )
        loss += share * added
        gradient += share * np.array(slope)
    return loss, gradient
