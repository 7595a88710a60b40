"""Scores of codes against what is known: mutual information, counted tokens, active units, reconstructions."""

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from odeembed.evaluate.sentence_codes import Codes, ImportanceWeighted, mutual_information
from odeembed.objectives.sentence_vae import SentenceELBO, importance_weighted_nll


def test_the_weighted_likelihood_counts_each_sentence_and_its_end_once(coded):
    found = ImportanceWeighted(samples=3)(coded)
    assert found["iw/tokens"] == sum(len(ids) + 1 for ids in coded.sentences)
    key = jax.random.key(0)
    weighted = jax.jit(lambda params, batch: importance_weighted_nll(coded.model, params, batch, key, 3))
    by_hand = sum(float(weighted(coded.params, batch)[:2].sum()) for batch in coded.dataset.evaluation(""))
    assert found["iw/nats"] == pytest.approx(by_hand / 4, rel=1e-5)
    assert found["iw/perplexity"] == pytest.approx(math.exp(by_hand / found["iw/tokens"]), rel=1e-5)
    assert ImportanceWeighted(samples=3, every=2)(coded)["iw/tokens"] == 7


def test_mutual_information_of_codes_far_apart_is_the_logarithm_of_their_number():
    noise = np.random.default_rng(0).standard_normal((300, 2))
    far = np.arange(300)[:, None] * np.array([100.0, 0.0])
    assert mutual_information(far, np.ones((300, 2)), noise) == pytest.approx(np.log(300), abs=1e-6)
    assert mutual_information(np.zeros((300, 2)), np.ones((300, 2)), noise) == pytest.approx(0, abs=1e-9)


def test_mutual_information_of_a_gaussian_channel():
    """Means N(0, s^2) and noise of variance 1: 1/2 log(1 + s^2)."""
    rng = np.random.default_rng(1)
    means, noise = 2.0 * rng.standard_normal((3000, 1)), rng.standard_normal((3000, 1))
    wanted = 0.5 * np.log(1 + 4)
    assert mutual_information(means, np.ones_like(means), noise) == pytest.approx(wanted, abs=0.05)


def test_codes_of_an_untrained_model_have_their_figures(coded):
    found = Codes(reconstructed=4)(coded)
    means = coded.coder.encode(coded.sentences)[0]
    assert found["codes/active_units"] == (means.var(axis=0) >= 0.01).sum()
    assert found["codes/reconstructed"] == 0 and 0 <= found["codes/reconstructed_words"] < 0.6
    assert found["codes/kl"] > 0 and 0 <= found["codes/mutual_information"] <= np.log(4) + 1e-6
    points = SimpleNamespace(seed=0, objective=SentenceELBO(deterministic=True))
    assert "codes/kl" not in Codes(reconstructed=4)(SimpleNamespace(**vars(coded) | {"experiment": points}))
