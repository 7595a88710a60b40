import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.decode import fill, filter_logits, sample
from odeembed.errors import ConfigError

LOGITS = jnp.log(jnp.array([0.5, 0.25, 0.15, 0.1]))


def kept(**settings):
    return np.isfinite(np.asarray(filter_logits(LOGITS, **settings))).tolist()


def test_top_k_and_the_nucleus_keep_the_likeliest():
    assert kept(top_k=2) == [True, True, False, False]
    assert kept(top_p=0.6) == [True, True, False, False]
    assert kept(top_p=0.01) == [True, False, False, False]
    assert kept(top_k=3, top_p=0.6) == [True, True, False, False]
    assert kept() == [True] * 4


def test_samples_follow_the_distribution_at_a_temperature():
    keys = jax.random.split(jax.random.key(0), 20_000)
    drawn = np.asarray(jax.vmap(lambda k: sample(k, LOGITS, temperature=0.5))(keys))
    sharper = np.asarray(LOGITS) * 2
    wanted = np.exp(sharper) / np.exp(sharper).sum()
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, wanted, atol=0.02)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}], ids=str
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        filter_logits(LOGITS, **wrong)


def table_model(seed, length, words):
    """Log-probabilities of each place that depend on all the words already there."""
    base = np.random.default_rng(seed).normal(size=(length, words))
    pull = np.random.default_rng(seed + 1).normal(size=(words, words))

    def log_probabilities(tokens, visible):
        score = base + sum(
            np.where(visible[:, [i]], pull[tokens[:, i]], 0)[:, None, :] for i in range(length)
        )
        return score - np.log(np.exp(score).sum(axis=-1, keepdims=True))

    return log_probabilities


def test_one_gap_is_filled_by_its_likeliest_words_in_order():
    model = table_model(0, 3, 5)
    tokens, visible = np.array([1, 0, 4]), np.array([True, False, True])
    score = model(tokens[None], visible[None])[0, 1]
    found = fill(model, tokens, visible, beam=3)
    assert [f.tokens[1] for f in found] == np.argsort(-score)[:3].tolist()
    np.testing.assert_allclose([f.log_probability for f in found], np.sort(score)[::-1][:3])
    assert all((f.tokens[[0, 2]] == [1, 4]).all() for f in found)


def test_a_wide_beam_finds_the_best_filling_reachable_surest_first():
    model = table_model(3, 3, 4)
    tokens, visible = np.zeros(3, int), np.array([False, False, True])
    wide = fill(model, tokens, visible, beam=16)
    first = model(tokens[None], visible[None])[0]
    place = int(np.argmax(np.where(visible, -np.inf, first.max(axis=-1))))
    best = -np.inf
    for a, b in itertools.product(range(4), repeat=2):
        filled, seen = tokens.copy(), visible.copy()
        filled[place], seen[place] = a, True
        best = max(best, first[place, a] + model(filled[None], seen[None])[0, 1 - place, b])
    np.testing.assert_allclose(wide[0].log_probability, best)
    assert fill(model, tokens, visible, beam=1)[0].log_probability <= best
    assert len({f.tokens.tobytes() for f in wide}) == len(wide)


def test_banned_words_are_never_filled_in():
    model = table_model(0, 2, 3)
    found = fill(model, np.zeros(2, int), np.zeros(2, bool), beam=4, banned=(0, 2))
    assert [f.tokens.tolist() for f in found] == [[1, 1]]
