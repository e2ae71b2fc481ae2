"""What a remembered rollout does to the advantages of an unsolved group."""

import pytest

from tests.method import oracle
from tests.trainer.runs import two_visits

NEVER = ("Q2c", "Q3d")


def test_agreement_with_a_verified_reference_is_rewarded(tmp_path):
    """s_i by hand: a remembered reference is verified and rewards a small one, a failed a large."""
    records, _ = two_visits(tmp_path, never=NEVER)
    earlier = [r for r in records if r["step"] == 0 and r["reward"] == 1.0]
    signs = []
    for group in range(4):
        rows = [r for r in records if r["step"] == 1 and r["group"] == group]
        assert {(r["reward"], r["route"]) for r in rows} == {(0.0, "none")}
        failed = rows[0]["prompt"] in NEVER
        scores = []
        for r in rows:
            if r["kl"] is None:  # the group's shared reference itself
                assert failed
                scores.append(None)
                continue
            (length,) = {
                len(e["completion_ids"])
                for e in ([rows[r["reference"]]] if failed else earlier)
                if failed or (e["prompt"], e["completion"]) == (r["prompt"], r["reference_text"])
            }
            written = [True] * len(r["kl"])
            scores.append(oracle.diversity_score(r["kl"], written, length, r["threshold_c"]))
        assert scores.count(None) == failed
        signs.append(1 if failed else -1)
        expected = [signs[-1] * a for a in oracle.diversity_advantage(scores, alpha=0.1)]
        assert [r["advantage"] for r in rows] == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert max(expected) > 0.05 and min(expected) < -0.05
    assert sorted(signs) == [-1, -1, 1, 1]
