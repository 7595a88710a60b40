"""What all objectives share: noise by example, and sums over what counts."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp

from odeembed.batch import Batch
from odeembed.objectives.rows import derived, row_keys, solver_means, weighted_mean


def test_the_noise_of_an_example_is_its_number_s():
    batch = Batch(None, None, None, jnp.array([7, 3]))
    alone = Batch(None, None, None, jnp.array([3]))
    one, other = (row_keys(jax.random.key(1), each) for each in (batch, alone))
    assert (jax.random.key_data(one)[1] == jax.random.key_data(other)[0]).all()
    assert (jax.random.key_data(derived(one, 1)) != jax.random.key_data(derived(one, 2))).any()


def test_what_does_not_count_is_in_no_mean():
    weight = jnp.array([True, False, True])
    found = weighted_mean(jnp.array([1.0, jnp.nan, 3.0]), weight)
    assert (float(found.total), float(found.count)) == (4.0, 2.0)
    out = SimpleNamespace(failed=jnp.array([True, True]), stats={"evaluations": jnp.array([4, 9])})
    means = solver_means(out, Batch(None, None, None, jnp.array([0, -1])))
    assert {name: mean.value for name, mean in means.items()} == {"solver/failed": 1, "solver/evaluations": 4}
