"""The path of a toy model whose logits are known functions of time."""

from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.errors import DataError
from odeembed.evaluate.sentence_path import sentence_path


class Clock(nn.Module):
    """Word 2 + round(t) is the likeliest at time t; <unk> always far likelier still; a peek gives word 6."""

    def hidden(self, batch, visible, query):
        peek = jnp.any(visible & (batch.values == 5), 1)[:, None] * jnp.ones_like(query)
        return SimpleNamespace(states=jnp.stack([query, peek], -1))

    def read_out(self, states):
        return states

    def logits(self, states):
        words = jnp.arange(7.0)
        logits = -jnp.abs(words - 2 - states[..., :1]) * 4
        return logits + 30.0 * (words == 1) + 60.0 * (words == 6) * states[..., 1:]


VOCABULARY = SimpleNamespace(
    pad_id=0, unk_id=1, tokens=tuple("pu234567"), decode=lambda ids: "".join(f" word{i}" for i in ids)
)


def test_words_of_hidden_tokens_come_first_and_then_the_leaders():
    path = sentence_path(Clock(), {}, VOCABULARY, [2, 5, 4], np.array([True, False, True]), points=4)
    assert path.tokens == ("word2", "word5", "word4")
    assert path.words[0] == "word5"
    assert set(path.words[1:]) == {"word2", "word3", "word4"}
    np.testing.assert_array_equal(path.times, np.arange(9) / 4)


def test_the_probability_is_the_softmax_of_the_logits():
    path = sentence_path(Clock(), {}, VOCABULARY, [2, 5, 4], np.array([True, False, True]), words=3, points=2)
    logits = np.array(Clock().logits(jnp.stack([path.times, np.zeros(5)], -1)))
    softmax = np.exp(logits - logits.max(1, keepdims=True))
    softmax /= softmax.sum(1, keepdims=True)
    ids = [int(word[4:]) for word in path.words]
    np.testing.assert_allclose(path.probability, softmax[:, ids], rtol=1e-5)


def test_a_single_token_has_no_path():
    with pytest.raises(DataError, match="got 1 token"):
        sentence_path(Clock(), {}, VOCABULARY, [2], np.array([True]))
