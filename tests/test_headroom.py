"""The oracles of benchmarks/headroom.py, token by token, by hand."""

import re

import pytest
from benchmarks.headroom import of_rollout

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
