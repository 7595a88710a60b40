"""The paired bootstrap against scipy, a plain loop, and its own error rate under a true null hypothesis."""

import numpy as np
import pytest
import scipy.stats

from odeembed.evaluate.bootstrap import spearman_difference


def make_scores(seed, n=60, noises=(0.5, 2.0)):
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=n), 1)  # with ties
    return truth, *(truth + noise * rng.normal(size=n) for noise in noises)


def correlation(first, second):
    return scipy.stats.spearmanr(first, second).statistic


def test_the_difference_is_scipys():
    truth, first, second = make_scores(0)
    found = spearman_difference(truth, first, second, resamples=200)
    assert found.value == pytest.approx(correlation(truth, first) - correlation(truth, second))
    assert found.low < found.value < found.high


def test_equals_a_plain_loop():
    truth, first, second = make_scores(1, n=20)
    found = spearman_difference(truth, first, second, resamples=300, seed=3)
    rng = np.random.default_rng(3)
    chosen = rng.integers(20, size=(300, 20))
    loop = [correlation(truth[i], first[i]) - correlation(truth[i], second[i]) for i in chosen]
    np.testing.assert_allclose([found.low, found.high], np.quantile(loop, [0.025, 0.975]))


def test_the_same_scores_do_not_differ():
    truth, first, _ = make_scores(2)
    found = spearman_difference(truth, first, first, resamples=100)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_sign_and_symmetry():
    truth, first, second = make_scores(3)
    forth, back = spearman_difference(truth, first, second), spearman_difference(truth, second, first)
    assert forth.low > 0 and forth.p < 0.01
    assert (back.value, back.p) == pytest.approx((-forth.value, forth.p))
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))


def test_rejects_a_true_null_hypothesis_about_as_often_as_it_says():
    p = [
        spearman_difference(*make_scores(seed, noises=(1.0, 1.0)), resamples=300, seed=seed).p
        for seed in range(200)
    ]
    # 200 draws at level 0.1: mean 20, standard deviation 4.2; the percentile bootstrap is a little liberal at n = 60.
    assert 8 <= np.sum(np.array(p) < 0.1) <= 36


def test_is_repeatable():
    scores = make_scores(4)
    assert spearman_difference(*scores, resamples=100) == spearman_difference(*scores, resamples=100)


def test_a_single_pair_is_refused():
    with pytest.raises(ValueError, match="got 1, 1 and 1"):
        spearman_difference(*np.ones((3, 1)))
