"""What a classifier makes of a batch: named, and read like the states of other models."""

import jax
import jax.numpy as jnp

from odeembed.models.classified import Classified


def test_it_is_a_pytree_whose_states_are_its_logits():
    out = Classified(jnp.ones((2, 3)), {"accepted": jnp.zeros(2)}, jnp.zeros(2, bool))
    assert out.states.shape == (2, 1, 3)
    assert [leaf.shape for leaf in jax.tree.leaves(out)] == [(2, 3), (2,), (2,)]
