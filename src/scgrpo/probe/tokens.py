"""What kind of text a token is, and which ones a weighting credits."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

KINDS = ("digit", "operator", "word", "sign", "whitespace", "code", "tool call", "special")
SHOWN = 20
"""Pieces of text with the largest and with the smallest mean weight that are shown."""
LEAST = 5
"""Times that a piece must occur to be among them."""
POSITIONS = 10
"""Parts of a completion, from its beginning to its end."""
_OPERATORS = set("+-*/=<>^%×÷·±≤≥≠−")  # noqa: RUF001 -- mathematics
_SPANS = {
    "tool call": re.compile(r"<tool_call.*?(</tool_call>|\Z)", re.DOTALL),
    "code": re.compile(r"```.*?(```|\Z)", re.DOTALL),
}


def kinds(pieces: Sequence[str], special: Sequence[bool]) -> list[str]:
    """Kind of each token of a completion, one of `KINDS`.

    What stands between two fences of three backticks is code, what stands in a tool call is that.

    Args:
        pieces: text of each token.
        special: whether it is one of the tokenizer's special tokens.
    """
    text = "".join(pieces)
    spans = [(kind, m.span()) for kind, span in _SPANS.items() for m in span.finditer(text)]
    found, end = [], 0
    for piece, is_special in zip(pieces, special, strict=True):
        start, end = end, end + len(piece)
        inside = [kind for kind, (first, last) in spans if start < last and end > first]
        if inside:
            found.append(inside[0])
        else:
            found.append("special" if is_special else _plain_kind(piece))
    return found


def _plain_kind(piece: str) -> str:
    bare = piece.strip()
    if not piece:  # of a character that ends at a later token
        return "sign"
    if not bare:
        return "whitespace"
    if bare.replace(".", "").replace(",", "").isdigit():
        return "digit"
    if set(bare) <= _OPERATORS:
        return "operator"
    return "word" if any(character.isalpha() for character in bare) else "sign"


def extremes(pieces: Sequence[str], weights: NDArray) -> dict[str, list[dict[str, float | str]]]:
    """The pieces with the largest and the smallest mean weight, with their counts."""
    distinct, place, count = np.unique(np.array(pieces), return_inverse=True, return_counts=True)
    mean = np.bincount(place, weights, len(distinct)) / np.maximum(count, 1)
    order = [i for i in np.argsort(mean, kind="stable") if count[i] >= LEAST]
    rows = [
        {"piece": str(distinct[i]), "mean": float(mean[i]), "count": int(count[i])} for i in order
    ]
    return {"largest": rows[::-1][:SHOWN], "smallest": rows[:SHOWN]}


def mean_by(places: NDArray, weights: NDArray, count: int) -> list[float | None]:
    """Mean weight of the tokens at each of `count` places, None where there is none."""
    sums, many = np.bincount(places, weights, count), np.bincount(places, minlength=count)
    return [float(s / n) if n else None for s, n in zip(sums, many, strict=True)]


def spread(weights: NDArray) -> tuple[float, float]:
    """Mean weight, and the effective share of tokens (sum |w|)^2 / (M sum w^2) of Kish."""
    squares = float((weights**2).sum())
    share = float(abs(weights).sum()) ** 2 / (len(weights) * squares) if squares else 0.0
    return float(weights.mean()), share


def is_degenerate(weights: NDArray) -> bool:
    """Whether weights say nothing: all alike, or all but a hundredth of the tokens left out."""
    mean, share = spread(weights)
    return share < 0.01 or float(weights.std()) < 0.01 * abs(mean)
