"""Intervals of results that are all unsolved or all solved, which resampling would call certain."""

from math import hypot
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

Ends = tuple[float, float]


def wilson(scores: ArrayLike, problems: int, confidence: float) -> Ends | None:
    """Wilson's interval of scores that are all 0 or all 1; None for others, and for one problem.

    With all of n problems solved it is [n / (n + z^2), 1], whatever the number of samples and
    seeds: problems are what differs.

    Args:
        scores: of each problem, of all seeds.
        problems: how many there are.
        confidence: coverage in (0, 1).

    Example:
        >>> low, high = wilson([1.0, 1.0, 1.0], 3, 0.95)
        >>> f"{low:.3f}, {high:.3f}"
        '0.439, 1.000'
    """
    found = set(np.ravel(np.asarray(scores)).tolist())
    if problems < 2 or found not in ({0.0}, {1.0}):
        return None
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    beyond = z2 / (problems + z2)
    return (0.0, beyond) if found == {0.0} else (1.0 - beyond, 1.0)


def newcombe(one: ArrayLike, two: ArrayLike, problems: int, confidence: float) -> Ends | None:
    """Interval of the difference of two such scores, second minus first; None unless both are such.

    Newcombe's, from Wilson's of both (Statistics in Medicine 17, 1998, method 10).
    """
    of_one, of_two = wilson(one, problems, confidence), wilson(two, problems, confidence)
    if of_one is None or of_two is None:
        return None
    first, second = float(np.mean(one)), float(np.mean(two))
    below = hypot(second - of_two[0], of_one[1] - first)
    above = hypot(of_two[1] - second, first - of_one[0])
    return second - first - below, second - first + above
