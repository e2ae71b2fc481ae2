"""Avg@k, unbiased Pass@k, and bootstrap intervals over problems.

Letters: P problems, K samples of each problem.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scgrpo.evaluation.wilson import wilson

Rewards = NDArray[np.float64]
Statistic = Callable[[Rewards], float]


def avg_at_k(rewards_PK: ArrayLike) -> float:
    """Avg@k: mean reward over the samples of each problem, then over problems (section 8).

    Args:
        rewards_PK: rewards in [0, 1], one row a problem; float64 inside.

    Raises:
        ValueError: for anything but a finite, non-empty (P, K) matrix.

    Example:
        >>> avg_at_k([[1.0, 0.0], [0.5, 0.5]])
        0.5
    """
    return float(_matrix(rewards_PK).mean())


def pass_at_k(rewards_PK: ArrayLike, k: int | None = None, solve_threshold: float = 1.0) -> float:
    """Pass@k: unbiased chance that one of k samples is verified, mean over problems.

    With n samples of a problem, c of them verified: 1 - C(n - c, k) / C(n, k) (Chen et al. 2021,
    arXiv 2107.03374); for k = n it is the share of problems with a verified sample (section 8).

    Args:
        rewards_PK: rewards in [0, 1], one row a problem.
        k: samples that may be tried, 1 to K; K by default.
        solve_threshold: smallest reward that counts as verified.

    Raises:
        ValueError: for k outside 1..K, or for no finite, non-empty (P, K) matrix.

    Example:
        >>> pass_at_k([[1.0, 0.0, 0.0, 0.0]], k=2)
        0.5
    """
    rewards_PK = _matrix(rewards_PK)
    samples = rewards_PK.shape[1]
    k = samples if k is None else k
    if not 1 <= k <= samples:
        raise ValueError(
            f"Pass@k was asked for k = {k}, but each problem has {samples} samples; "
            f"choose k from 1 to {samples}, or draw more samples."
        )
    failed_P = (rewards_PK < solve_threshold).sum(axis=1)
    # C(f, k) / C(n, k) = prod over i < k of (f - i) / (n - i), which is 0 as soon as f < k.
    tries_k = np.arange(k)
    chances_Pk = np.clip(failed_P[:, None] - tries_k, 0, None) / (samples - tries_k)
    return float(np.mean(1.0 - chances_Pk.prod(axis=1)))


def bootstrap_interval(
    rewards_PK: ArrayLike,
    statistic: Statistic,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic, problems drawn with replacement.

    Args:
        rewards_PK: rewards in [0, 1], one row a problem.
        statistic: function of such a matrix, for instance `avg_at_k`.
        confidence: coverage in (0, 1).
        resamples: number of resampled matrices.
        seed: seed of the draw; the caller's random state is left alone.

    Returns:
        (low, high); (nan, nan) for one problem, from which no spread can be estimated. Where all
        problems score 0, or all 1, it is Wilson's; where they score another value alike, that one.

    Raises:
        ValueError: for a confidence outside (0, 1), or for no finite, non-empty (P, K) matrix.

    Example:
        >>> low, high = bootstrap_interval([[1.0], [1.0], [1.0]], avg_at_k)
        >>> f"{low:.3f}, {high:.3f}"
        '0.439, 1.000'
    """
    rewards_PK = _matrix(rewards_PK)
    scores_P = [statistic(row[None]) for row in rewards_PK]
    if ends := wilson(scores_P, len(rewards_PK), checked(confidence)):
        return ends
    draw_RP = resampled_problems(len(rewards_PK), resamples=resamples, seed=seed)
    return interval([statistic(rewards_PK[draw_P]) for draw_P in draw_RP], confidence)


def resampled_problems(problems: int, *, resamples: int, seed: int) -> NDArray[np.int64]:
    """Indices `(R, P)` of problems drawn with replacement; no rows for fewer than two problems."""
    rows = resamples if problems > 1 else 0
    return np.random.default_rng(seed).integers(problems, size=(rows, problems))


def interval(values: list[float], confidence: float) -> tuple[float, float]:
    """Central interval of resampled values; (nan, nan) for none.

    Raises:
        ValueError: for a confidence outside (0, 1).
    """
    tail = (1 - checked(confidence)) / 2
    if not values:
        return float("nan"), float("nan")
    low, high = np.quantile(np.asarray(values), [tail, 1 - tail])
    return float(low), float(high)


def checked(confidence: float) -> float:
    """A coverage.

    Raises:
        ValueError: for one outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95.")
    return confidence


def _matrix(rewards_PK: Any) -> Rewards:
    try:
        matrix = np.asarray(rewards_PK, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "the rewards are no matrix of problems x samples; give every problem the same number "
            "of samples."
        ) from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(
            f"the rewards have shape {matrix.shape}; give a matrix of problems x samples with at "
            "least one of each."
        )
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise ValueError(
            f"the reward of problem {row}, sample {column} is {matrix[row, column]}; score every "
            "sample with a finite number."
        )
    return matrix
