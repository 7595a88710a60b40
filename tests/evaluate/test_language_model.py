"""A judge's perplexities, and what is learned from sentences."""

import math

import numpy as np
import pytest

from odeembed.data.vocabulary import Words
from odeembed.errors import ConfigError
from odeembed.evaluate.language_model import Judge, Samples, Sentences, objective_of


def test_a_judge_s_perplexity_is_that_of_each_sentence_alone(judged, coded):
    judge, ids = Judge.of(judged, coded.vocabulary), coded.sentences
    together = judge.nll(ids)
    np.testing.assert_allclose(together[2], judge.nll([ids[2]])[0], rtol=1e-5)
    assert judge.perplexity(ids) == pytest.approx(math.exp(together.sum() / 15), rel=1e-6)


def test_a_model_trained_on_sentences_finds_them_likely_and_others_not(judged):
    sentences = Sentences([[2, 3, 4], [2, 3, 5]], judged.vocabulary, 8, 0)
    params = judged.fit(judged.model, objective_of(judged.model), sentences.batch, 300)
    learned = Judge(judged.model, params, judged.vocabulary)
    assert learned.perplexity([[2, 3, 4], [2, 3, 5]]) < 2 < 8 < learned.perplexity([[9, 8, 7]])


def test_batches_in_memory_repeat_and_have_few_lengths(judged):
    data = Sentences([[2] * 3, [3] * 40], judged.vocabulary, 4, 1)
    found = [data.batch(step) for step in range(20)]
    assert {batch.values.shape for batch in found} <= {(4, 32), (4, 64)}
    again = data.batch(7)
    np.testing.assert_array_equal(again.values, found[7].values)
    assert set(again.mask.sum(axis=1).tolist()) <= {3, 40}


def test_samples_are_judged_both_ways(coded):
    found = Samples("runs/judge", count=20, steps=5, rows=4)(coded)
    assert 0 < found["samples/distinct"] <= 1 and 0 < found["samples/length"] <= 6
    assert found["samples/forward_perplexity"] > 1 and found["samples/reverse_perplexity"] > 1
    assert "samples/reverse_perplexity" not in Samples("runs/judge", count=20, steps=0)(coded)


def test_what_is_no_language_model_of_these_words_is_no_judge(judged, coded):
    with pytest.raises(ConfigError, match="runs/it is no language model"):
        Judge.of(coded, coded.vocabulary)
    other = Words().build(["x y z"])
    with pytest.raises(ConfigError, match="has other words"):
        Judge.of(judged, other)
