"""Each weighting by hand, from the sentences of docs/probe.md."""

import math

import pytest
import torch

from scgrpo.mistakes import ConfigError
from scgrpo.probe.names import FAILED, OTHER, REFERENCES, UNRELATED, VERIFIED
from scgrpo.probe.weightings import WEIGHTINGS, TokenFacts, weightings_of
from scgrpo.rivals import entropy_shaped_advantage

NAN = math.nan
KL = {
    VERIFIED: [0.0, 0.1, 0.3, 0.2, NAN],
    FAILED: [0.4, 0.1, 0.0, 0.2, NAN],
    OTHER: [0.1, 0.1, 0.1, 0.1, NAN],
    UNRELATED: [NAN] * 5,
}
RATIO = {
    VERIFIED: [math.log(1.5), math.log(4), math.log(0.5), math.log(0.1), NAN],
    FAILED: [math.log(3), 0.0, 0.0, NAN, NAN],
    OTHER: [0.0] * 4 + [NAN],
    UNRELATED: [NAN] * 5,
}


def facts_of(**more):
    values = {
        "rollout": torch.tensor([0, 0, 1, 1, 2]),
        "group": torch.tensor([0, 0, 0, 0, 1]),
        "reward": torch.tensor([1.0, 1.0, 0.0, 0.0, NAN]),
        "advantage": torch.tensor([1.0, 1.0, -1.0, -1.0, 0.0]),
        "logp": torch.tensor([-0.1, -0.2, -0.3, -0.4, -0.5]),
        "entropy": torch.tensor([0.1, 0.2, 0.3, 0.4, 2.0]),
        "kl": {kind: torch.tensor(KL[kind]) for kind in REFERENCES},
        "log_ratio": {kind: torch.tensor(RATIO[kind]) for kind in REFERENCES},
        "contrast": torch.tensor([0.2, NAN, 0.2, 0.2, NAN]),
    }
    return TokenFacts(**values | more)


# P75 of (0, 0.1, 0.2, 0.3) is 0.225; f = D / (D + 0.225).
F = [0.0, 0.1 / 0.325, 0.3 / 0.525, 0.2 / 0.425]
# exp(sign(A) d): 1.5, 4, 1 / 0.5, 1 / 0.1; at most 2.
SIGNED = [1.5, 2.0, 2.0, 2.0]
BY_HAND = {
    "uniform": [1, 1, 1, 1, 1],
    "credit": [*F, 1],
    "credit-sequence": [0, 2, 2 * F[2] / (F[2] + F[3]), 2 * F[3] / (F[2] + F[3]), 1],
    # P75 of (0, 0.1, 0.2, 0.4) is 0.25.
    "credit-failed": [0.4 / 0.65, 0.1 / 0.35, 0, 0.2 / 0.45, 1],
    "credit-other": [0.5, 0.5, 0.5, 0.5, 1],
    "credit-unrelated": [1, 1, 1, 1, 1],
    "inverse": [*(1 - f for f in F), 1],
    "inverse-sequence": [
        2 / (2 - F[1]),
        2 * (1 - F[1]) / (2 - F[1]),
        2 * (1 - F[2]) / (2 - F[2] - F[3]),
        2 * (1 - F[3]) / (2 - F[2] - F[3]),
        1,
    ],
    # The 80th percentile of the entropies is 0.4 + 0.2 * 1.6 = 0.72.
    "entropy": [0, 0, 0, 0, 1],
    # Of the tokens with a teacher, as where a teacher is asked in training: 0.1 + 0.8 * 0.3 = 0.34.
    "credit*entropy": [0, F[1] * 0.2 / 0.34, F[2] * 0.3 / 0.34, F[3], 1],
    "credit+entropy": [
        0.5 * 0.1 / 0.34,
        0.5 * F[1] + 0.5 * 0.2 / 0.34,
        0.5 * F[2] + 0.5 * 0.3 / 0.34,
        0.5 * F[3] + 0.5,
        1,
    ],
    "contrast": [0.5, 1, 0.5, 0.5, 1],
    # 1.5 / 3; 4 / 1, at most 2; A < 0: 1 / 0.5.
    "signed-contrast": [0.5, 2, 2, 1, 1],
    "signed": [*SIGNED, 1],
    "signed-failed": [2, 1, 1, 1, 1],
    "signed-other": [1, 1, 1, 1, 1],
    "signed-unrelated": [1, 1, 1, 1, 1],
    "signed*credit": [*(s * f for s, f in zip(SIGNED, F, strict=True)), 1],
    "reversed": [1 / 1.5, 1 / 4, 0.5, 0.1, 1],
    # Half 1, half the signed ratio within 1 +- 0.2.
    "rlsd": [1.1, 1.1, 1.1, 1.1, 1],
    # A > 0: half 1, half p_S / p_T.
    "rlrt": [0.5 + 0.5 / 1.5, 0.5 + 0.5 / 4, 1, 1, 1],
    # r = 0.5 tanh(e / 0.02) is -0.5, 0.5 and -0.5 for e = log 0.5, log 4 and log 0.5; (A + r) / A.
    "rlcsd": [0.5, 1.5, 1.5, 1, 1],
    # exp(-s) is 1/3 and 1/4, of mean 7/24; the third token is alone in its rollout.
    "cscr": [8 / 7, 6 / 7, 1, 1, 1],
    # Without a teacher: every token.
    "tr-grpo": [1 / (1 + math.exp(-math.exp(-p) / 0.2)) for p in (0.1, 0.2, 0.3, 0.4, 0.5)],
    # Either rollout is alone of its kind, and learns nothing; the last one has no advantage.
    "gtpo": [0, 0, 0, 0, 1],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name):
    found = WEIGHTINGS[name](facts_of())
    torch.testing.assert_close(found, torch.tensor(BY_HAND[name]).float())


def test_all_are_tested():
    assert set(WEIGHTINGS) == {*BY_HAND, "shuffled", "signed-shuffled"}


def test_gtpo_is_its_advantage_over_that_of_the_rollout():
    # Two verified and two failed rollouts with entropies 3, 1 and 1, 3: whitened to +-u each, high
    # entropy being praised, and low entropy blamed more. Then a group where all are solved.
    u, praise, blame = math.sqrt(0.75), 0.5, -2.0
    many = facts_of(
        rollout=torch.arange(6).repeat_interleave(2),
        group=torch.tensor([0] * 8 + [1] * 4),
        reward=torch.tensor([1.0] * 4 + [0.0] * 4 + [1.0] * 4),
        advantage=torch.tensor([praise] * 4 + [blame] * 4 + [0.0] * 4),
        entropy=torch.tensor([3.0, 1.0, 1.0, 3.0] * 3),
    )
    expected = [u / praise * sign for sign in (1, -1, -1, 1)]
    expected += [u / blame * sign for sign in (1, -1, -1, 1)] + [1] * 4
    found = WEIGHTINGS["gtpo"](many)
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-3, rtol=0)


def test_gtpo_of_rollouts_of_different_lengths():
    lengths, reward = (3, 2, 1, 3), (1.0, 0.0, 1.0, 0.0)
    rollout = torch.arange(4).repeat_interleave(torch.tensor(lengths))
    entropy = torch.rand(9, generator=torch.manual_seed(0))
    padded, written = torch.zeros(4, 3), torch.zeros(4, 3, dtype=torch.bool)
    for row, length in enumerate(lengths):
        padded[row, :length], written[row, :length] = entropy[rollout == row], True
    verified = torch.tensor(reward) == 1
    shaped = entropy_shaped_advantage(padded[None], written[None], verified[None], ~verified[None])[
        0
    ][written]
    sign = torch.tensor(reward)[rollout] * 2 - 1
    own = facts_of(
        rollout=rollout,
        group=torch.zeros(9, dtype=torch.int64),
        reward=torch.tensor(reward)[rollout],
        advantage=sign,
        entropy=entropy,
    )
    torch.testing.assert_close(WEIGHTINGS["gtpo"](own), shaped * sign)


def test_names_of_presets_and_of_before_are_known():
    found = weightings_of("rlsd, signed-half, entropy-top20, gtpo")
    assert list(found) == ["uniform", "rlsd", "signed-half", "entropy-top20", "gtpo"]
    assert found["signed-half"] is found["rlsd"]
    assert found["entropy-top20"] is WEIGHTINGS["entropy"]


@pytest.mark.parametrize("name, control", [("credit", "shuffled"), ("signed", "signed-shuffled")])
def test_shuffled_weights_are_the_same_in_another_order(name, control):
    many = torch.rand(200, generator=torch.manual_seed(0))
    kl = {kind: many.clone() for kind in REFERENCES}
    kl[VERIFIED][:20] = NAN
    facts = facts_of(
        rollout=torch.arange(200) // 20,
        advantage=torch.ones(200),
        logp=many,
        entropy=many,
        kl=kl,
        log_ratio=kl,
        contrast=kl[VERIFIED],
        seed=3,
    )
    plain, found = WEIGHTINGS[name](facts), WEIGHTINGS[control](facts)
    assert not torch.equal(plain, found)
    torch.testing.assert_close(plain[20:].sort().values, found[20:].sort().values)
    assert found[:20].tolist() == [1.0] * 20
    assert torch.equal(found, WEIGHTINGS[control](facts))


def test_a_function_of_the_users(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "def twice(credit, logp):\n    return 2 * credit - logp\n"
        "def no(disagreement):\n    return disagreement\n"
        "def alone(logp):\n    return -logp\n"
    )
    found = weightings_of("credit, mine.py:twice")
    assert list(found) == ["uniform", "credit", "mine.py:twice"]
    expected = [2 * f + less for f, less in zip(F, [0.1, 0.2, 0.3, 0.4], strict=True)]
    torch.testing.assert_close(found["mine.py:twice"](facts_of()), torch.tensor([*expected, 1.0]))
    # Of tokens with a teacher, whatever it asks for.
    alone = weightings_of("mine.py:alone")["mine.py:alone"](facts_of())
    torch.testing.assert_close(alone, torch.tensor([0.1, 0.2, 0.3, 0.4, 1.0]))
    with pytest.raises(ValueError, match="disagreement, which needs several references"):
        weightings_of("mine.py:no")
    with pytest.raises(ConfigError, match="unknown signal 'credi'; did you mean 'credit'"):
        weightings_of("credi")
    with pytest.raises(ConfigError, match="signals is ' , ', which names none"):
        weightings_of(" , ")


def test_no_tokens_at_all():
    none = torch.zeros(0)
    kl = dict.fromkeys(REFERENCES, none)
    facts = TokenFacts(none.long(), none.long(), none, none, none, none, kl, kl, none)
    assert {weigh(facts).shape for weigh in WEIGHTINGS.values()} == {(0,)}
