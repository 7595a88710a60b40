"""Paired bootstrap of the difference of two Spearman correlations over the same pairs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


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
    value = float(_resampled(truth, first, second, np.ones((1, len(truth)), int))[0])
    rng = np.random.default_rng(seed)
    block = max(1, 1_000_000 // len(truth))  # a block of resamples is a few tens of megabytes
    drawn = []
    for start in range(0, resamples, block):
        chosen = rng.integers(len(truth), size=(min(block, resamples - start), len(truth)))
        drawn.append(_resampled(truth, first, second, _times_drawn(chosen)))
    differences = np.concatenate(drawn)
    low, high = np.nanquantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Difference(value, float(low), float(high), _two_sided_p(differences))


def _resampled(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, times: Int[np.ndarray, "s n"]
) -> np.ndarray:
    """The difference of the correlations in each of s resamples; NaN where a score is constant in one."""
    human, ours, theirs = (_centred_ranks(scores, times) for scores in (truth, first, second))

    def correlation(scores: np.ndarray) -> np.ndarray:
        products = [
            np.einsum("sn,sn,sn->s", times, *pair)
            for pair in ((human, scores), (human, human), (scores, scores))
        ]
        return products[0] / np.sqrt(products[1] * products[2])

    with np.errstate(invalid="ignore", divide="ignore"):
        return correlation(ours) - correlation(theirs)


def _centred_ranks(
    scores: Float[np.ndarray, " n"], times: Int[np.ndarray, "s n"]
) -> Float[np.ndarray, "s n"]:
    """Each pair's mean rank among the pairs drawn, less the mean of all ranks.

    The order of the pairs is the same in all resamples, so that counting replaces sorting: the mean rank of a value is
    the number of draws below it plus half of the draws that share it.
    """
    values, group = np.unique(scores, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(values)))
    sharing = np.add.reduceat(times[:, order], starts, axis=1)
    return (np.cumsum(sharing, axis=1) - sharing / 2 - len(scores) / 2)[:, group]


def _times_drawn(chosen: Int[np.ndarray, "s n"]) -> Int[np.ndarray, "s n"]:
    """How often each pair was drawn in each resample."""
    s, n = chosen.shape
    return np.bincount((chosen + n * np.arange(s)[:, None]).ravel(), minlength=s * n).reshape(s, n)


def _two_sided_p(differences: np.ndarray) -> float:
    usable = differences[np.isfinite(differences)]
    share = min((usable <= 0).sum(), (usable >= 0).sum()) + 1
    return float(min(1.0, 2 * share / (len(usable) + 1)))
