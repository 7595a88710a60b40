import math

import pytest

from odeembed.mean import Mean, merge, merge_all, summarise


def test_merging_is_the_mean_of_all_and_not_the_mean_of_means():
    parts = [{"nll": Mean(6.0, 2)}, {"nll": Mean(1.0, 1), "accuracy": Mean(1.0, 4)}, {"nll": Mean(3.0, 7)}]
    assert merge_all(parts) == {"nll": Mean(10.0, 10), "accuracy": Mean(1.0, 4)}
    assert merge(parts[0], parts[1])["nll"].value == pytest.approx(7 / 3)
    assert parts[0] == {"nll": Mean(6.0, 2)}


def test_nothing_counted_is_nan_and_not_zero():
    assert math.isnan(Mean(0.0, 0).value)


def test_a_perplexity_stands_beside_each_nll_and_nothing_else():
    found = summarise({"nll": Mean(math.log(8.0) * 3, 3), "nll/gap2": Mean(0.0, 5), "accuracy": Mean(1.0, 2)})
    assert set(found) == {"nll", "perplexity", "nll/gap2", "perplexity/gap2", "accuracy"}
    assert found["perplexity"] == pytest.approx(8.0) and found["perplexity/gap2"] == 1.0


def test_a_hopeless_nll_has_a_finite_perplexity():
    assert math.isfinite(summarise({"nll": Mean(1e6, 1)})["perplexity"])
