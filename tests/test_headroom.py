"""The oracles of benchmarks/headroom.py and the figures of its report, by hand."""

import json
import math
import re

import numpy as np
import pytest
from benchmarks.headroom import blamed, of_rollout
from benchmarks.headroom_report import points, rank_correlation, steps_to
from benchmarks.prediction import EARLY, STEPS, curve_of

RIGHT = "7302; 12+18=30; 4+5; 7+30=37; <|end|>"
WRONG = "7302; 12+18=31; 4+5; 7+31=37; <|end|>"
WORDS = "so 12+18=31; now 7+31=38; <|end|>"


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        (RIGHT, {}, "......12+18=30; .....7+30=37; <|end|>"),
        (RIGHT, {"until_error": True}, "......12+18=30; .....7+30=37; <|end|>"),
        (RIGHT, {"decisive": True}, "............30; ..........37; ......."),
        (WRONG, {}, "......12+18=31; .....7+31=37; <|end|>"),
        (WRONG, {"until_error": True}, "......12+18=31......................."),
        (WRONG, {"decisive": True}, "............31......................."),
        (WORDS, {}, "...12+18=31; ....7+31=38; <|end|>"),
        (WORDS, {"decisive": True}, ".........31......................"),
        ("55; 12+18=30; 77+8=;7", {}, "....12+18=30; 77+8=;7"),
    ],
)
def test_oracle(text, kind, kept):
    pieces = re.findall(r"[a-z]+ |; |<\|end\|>|.", text)
    weights = of_rollout(pieces, **kind)
    shown = (p if w else "." * len(p) for p, w in zip(pieces, weights, strict=True))
    assert "".join(shown) == kept


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("1+2=4; 4+5=8; ", 4, (True, True)),
        ("1+2=4; 4+5=8; ", 10, (False, False)),
        ("1+2=4; 4+5=8; ", 0, (False, True)),
        ("1+2=3; 3+5=9; ", 4, (False, False)),
        ("1+2=3; 3+5=9; ", 10, (True, True)),
        ("1+2=3; 3+5=8; ", 4, None),
    ],
)
def test_blame(text, place, expected):
    """Suspicion falls on one token, and on the first sum the more the further it is to the left."""
    pieces = re.findall(r"; |.", text)
    suspicion = -0.01 * np.arange(len(pieces))
    suspicion[place] = 1
    assert blamed(pieces, suspicion) == expected


def test_steps_to_a_goal_lie_on_the_line_between_two_evaluations():
    curve = {"0": [0.2, 0.4], "40": [0.4, 0.6], "160": [0.8, 0.8]}
    assert steps_to(curve, 0.3) == 0
    assert steps_to(curve, 0.4) == pytest.approx(20)
    assert steps_to(curve, 0.65) == pytest.approx(40 + 120 * 0.15 / 0.3)
    assert math.isnan(steps_to(curve, 0.9))


def test_rank_correlation_by_hand():
    """Ranks 1 2 3 4 against 1 3 2 4: 1 - 6 * 2 / (4 * 15)."""
    rho, low, high = rank_correlation([0.1, 0.2, 3.0, 9.0], [-1.0, 5.0, 0.0, 6.0])
    assert rho == pytest.approx(0.8) and low <= rho <= high
    assert rank_correlation([1, 2, 2, 3], [1, 2, 2, 3])[0] == pytest.approx(1)


def test_points_compare_the_seeds_that_both_have():
    """Difference to uniform weights of seed 1 alone: 0.6 - 0.5 early, 0.5 - 0.7 at the end."""

    def run(*values):
        steps = ("0", str(EARLY), str(STEPS))
        return {"curve": dict(zip(steps, ([v, v] for v in values), strict=True)), "along": {}}

    runs = {
        "uniform": {"0": run(0.1, 0.9, 0.9), "1": run(0.3, 0.5, 0.7)},
        "signed": {"1": run(0.3, 0.6, 0.5)},
    }
    runs["uniform"]["0"]["along"] = {"40": {"adam": {"signed": {"k": {"value": 1.1}}}}}
    grid = {"words-4": {"adam": {"signed": {"k": {"value": 1.4}}}}}
    signed = points(grid, {"words-4": runs}, STEPS)[1]
    assert (signed["k"], signed["seeds"]) == (1.4, 1)
    assert signed["along"] == {"40": 1.1}
    assert signed["early"] == pytest.approx(0.1) and signed["final"] == pytest.approx(-0.2)
    assert signed["steps"] == [pytest.approx(EARLY * 0.2 / 0.3)]


def test_a_curve_is_of_the_held_out_split(tmp_path):
    rows = [("heldout", "b", 1), ("heldout", "a", 0), ("ood", "a", 1), ("heldout", "a", 1)]
    lines = (json.dumps({"split": s, "problem_id": p, "reward": r}) for s, p, r in rows)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "step_000040.jsonl").write_text("\n".join(lines))
    assert curve_of(tmp_path) == {"40": [0.5, 1.0]}
