"""What objectives of text share: likelihoods of tokens."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from odeembed.objectives.tokens import sampled_nll, token_nll


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
