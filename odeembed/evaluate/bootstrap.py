"""Paired bootstrap of the difference of two Spearman correlations over the same pairs."""

from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float


@dataclass(frozen=True)
class Difference:
    """The difference of two correlations with the same truth, first minus second.

    Attributes:
      value: the difference over the pairs as they are.
      low, high: ends of the percentile interval.
      p: two-sided level at which the interval would just touch 0.
    """

    value: float
    low: float
    high: float
    p: float


def spearman_difference(
    truth: Float[np.ndarray, " n"],
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " n"],
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Compares Spearman(truth, first) with Spearman(truth, second), the n pairs resampled together.

    Pairs are drawn with replacement and ranked anew in each resample. The p value inverts the percentile interval:
    twice the smaller share of resamples on one side of 0, no smaller than 2 / (resamples + 1).

    Args:
      truth: the human judgements.
      first, second: two systems' scores of the same pairs.
      level: the interval's coverage.

    Raises:
      ValueError: the three differ in length, or hold fewer than two pairs.

    References:
      Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals).
    """
    if not len(truth) == len(first) == len(second) >= 2:
        raise ValueError(
            "a paired bootstrap needs the same two or more pairs three times; "
            f"got {len(truth)}, {len(first)} and {len(second)}. Score both systems on their common pairs."
        )
    columns = np.stack([truth, first, second])
    value = float(_rank_differences(columns[:, None, :])[0])
    rng = np.random.default_rng(seed)
    block = max(1, 1_000_000 // len(truth))  # a block of resamples is a few tens of megabytes
    drawn = []
    for start in range(0, resamples, block):
        chosen = rng.integers(len(truth), size=(min(block, resamples - start), len(truth)))
        drawn.append(_rank_differences(columns[:, chosen]))
    differences = np.concatenate(drawn)
    low, high = np.nanquantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Difference(value, float(low), float(high), _two_sided_p(differences))


def _rank_differences(columns: Float[np.ndarray, "3 s n"]) -> Float[np.ndarray, " s"]:
    """Spearman(truth, first) - Spearman(truth, second) in each of s resamples; NaN where a column is constant."""
    ranks = scipy.stats.rankdata(columns, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    truth, first, second = ranks
    with np.errstate(invalid="ignore"):
        return _cosine(truth, first) - _cosine(truth, second)


def _cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(-1) / np.sqrt((first**2).sum(-1) * (second**2).sum(-1))


def _two_sided_p(differences: np.ndarray) -> float:
    usable = differences[np.isfinite(differences)]
    share = min((usable <= 0).sum(), (usable >= 0).sum()) + 1
    return float(min(1.0, 2 * share / (len(usable) + 1)))
