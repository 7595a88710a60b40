"""What objectives of text share: noise by sentence, likelihoods, and sums over what counts."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from odeembed.batch import Batch
from odeembed.objectives.tokens import (
    derived,
    sampled_nll,
    sentence_keys,
    solver_means,
    token_nll,
    weighted_mean,
)


class Logits(nn.Module):
    """States are logits."""

    vocab_size: int = 6

    def logits(self, states):
        return states

    def logits_of(self, states, ids):
        return states[..., ids]

    def logit_of_each(self, states, ids):
        return jnp.take_along_axis(states, ids[..., None], axis=-1)[..., 0]


STATES = jax.random.normal(jax.random.key(0), (2, 3, 6))
TARGETS = jnp.array([[1, 5, 0], [2, 2, 3]])


def test_the_noise_of_a_sentence_is_its_number_s():
    batch = Batch(None, None, None, jnp.array([7, 3]))
    alone = Batch(None, None, None, jnp.array([3]))
    one, other = (sentence_keys(jax.random.key(1), each) for each in (batch, alone))
    assert (jax.random.key_data(one)[1] == jax.random.key_data(other)[0]).all()
    assert (jax.random.key_data(derived(one, 1)) != jax.random.key_data(derived(one, 2))).any()


def test_the_cross_entropy_and_the_rank_of_a_token():
    nll, above = token_nll(Logits(), {}, STATES, TARGETS)
    scores = np.asarray(STATES, np.float64)
    for place in np.ndindex(2, 3):
        probabilities = np.exp(scores[place]) / np.exp(scores[place]).sum()
        target = int(TARGETS[place])
        np.testing.assert_allclose(nll[place], -np.log(probabilities[target]), rtol=1e-5)
        assert above[place] == (scores[place] > scores[place][target]).sum()


def test_with_many_negatives_the_end_counts_once_and_the_sum_is_the_full_one():
    """The end has no place in Zipf's law: it stands there once whatever is drawn, as target and as another."""
    sampled = sampled_nll(Logits(), {}, STATES, TARGETS, 200_000, jax.random.key(2), end=0)
    np.testing.assert_allclose(sampled, token_nll(Logits(), {}, STATES, TARGETS)[0], atol=0.02)


def test_what_does_not_count_is_in_no_mean():
    weight = jnp.array([True, False, True])
    found = weighted_mean(jnp.array([1.0, jnp.nan, 3.0]), weight)
    assert (float(found.total), float(found.count)) == (4.0, 2.0)
    out = SimpleNamespace(failed=jnp.array([True, True]), stats={"evaluations": jnp.array([4, 9])})
    means = solver_means(out, Batch(None, None, None, jnp.array([0, -1])))
    assert {name: mean.value for name, mean in means.items()} == {"solver/failed": 1, "solver/evaluations": 4}
