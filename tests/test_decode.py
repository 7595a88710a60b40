import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.decode import GREEDY, Decoding, decode, fill, filter_logits, sample
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


# A chain: the next token depends on the last one alone, and its number is the state. Token 0 ends.
CHAIN = jnp.log(
    jnp.array([[1.0, 0, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.3, 0.1, 0.5, 0.1], [0.9, 0.04, 0.03, 0.03]]) + 1e-9
)


def chain(rows=1, steps=4, how=GREEDY, **settings):
    start = jnp.array([1, 2, 3][:rows])
    return decode(lambda s, _: CHAIN[s], lambda s, _, tokens, i: tokens, start, steps, how, **settings)


def total(tokens, start):
    """Log-probability of a sequence, its end included."""
    return sum(float(CHAIN[a, b]) for a, b in itertools.pairwise([start, *tokens, 0]))


def test_greedy_takes_the_likeliest_token_until_the_end():
    out = chain(3)
    assert out.tokens.tolist() == [[3, 0, 0, 0], [2, 2, 2, 2], [0, 0, 0, 0]]
    assert out.lengths.tolist() == [1, 4, 0]
    np.testing.assert_allclose(out.log_probability[0], total([3], 1), rtol=1e-5)
    np.testing.assert_allclose(out.log_probability[1], 5 * np.log(0.5), rtol=1e-5)  # never ended: five tokens


def test_a_wide_beam_finds_the_likeliest_sequence():
    out = chain(3, steps=3, how=Decoding(beam=16))
    for row, start in enumerate((1, 2, 3)):
        every = [list(s) for n in range(4) for s in itertools.product((1, 2, 3), repeat=n)]
        best = max(every, key=lambda s, start=start: total(s, start))
        assert out.tokens[row, : out.lengths[row]].tolist() == best
        np.testing.assert_allclose(out.log_probability[row], total(best, start), rtol=1e-5)


def test_normalised_by_length_the_beam_prefers_longer_sequences():
    out = chain(2, steps=3, how=Decoding(beam=64, alpha=1.0))
    for row, start in enumerate((1, 2)):
        every = [list(s) for n in range(4) for s in itertools.product((1, 2, 3), repeat=n)]
        best = max(every, key=lambda s, start=start: total(s, start) / (len(s) + 1))
        assert out.tokens[row, : out.lengths[row]].tolist() == best


@pytest.mark.parametrize("how", [GREEDY, Decoding(beam=3)], ids=["greedy", "beam"])
def test_every_row_has_its_own_context(how):
    shifts = jnp.array([0, 1, 2])  # each row's tokens are renamed by its context, all but the end
    renamed = lambda tokens, by: jnp.where(tokens > 0, (tokens - 1 + by) % 3 + 1, 0)  # noqa: E731

    def logits(state, context):
        back = renamed(jnp.arange(1, 4), -context[:, None])
        rows = CHAIN[renamed(state, -context)]
        return jnp.concatenate([rows[:, :1], jnp.take_along_axis(rows, back, axis=1)], axis=1)

    start = renamed(jnp.array([1, 1, 1]), shifts)
    out = decode(logits, lambda s, _, tokens, i: tokens, start, 4, how, context=shifts)
    alone = chain(1, how=how)
    for row, by in enumerate(shifts):
        assert out.tokens[row].tolist() == renamed(alone.tokens[0], by).tolist()
        np.testing.assert_allclose(out.log_probability[row], alone.log_probability[0], rtol=1e-5)


def test_draws_follow_the_chain_and_a_row_s_end_is_its_end():
    rows = 4000
    start = jnp.ones(rows, jnp.int32)
    out = decode(
        lambda s, _: CHAIN[s], lambda s, _, t, i: t, start, 3, Decoding(sample=True), key=jax.random.key(0)
    )
    first = np.bincount(out.tokens[:, 0], minlength=4) / rows
    np.testing.assert_allclose(first, [0.1, 0.2, 0.3, 0.4], atol=0.03)
    for tokens, length in zip(out.tokens.tolist(), out.lengths.tolist(), strict=True):
        assert 0 not in tokens[:length] and not any(tokens[length:])


def test_banned_tokens_are_never_chosen_and_draws_need_a_key():
    assert chain(2, banned=(2, 3)).tokens.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert not {2, 3} & set(chain(2, banned=(2, 3), how=Decoding(beam=4)).tokens.ravel().tolist())
    with pytest.raises(ConfigError, match="key"):
        chain(how=Decoding(sample=True))
    with pytest.raises(ConfigError, match="beam"):
        Decoding(beam=4, sample=True)
