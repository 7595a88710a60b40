"""Density estimators: keys or none, there and back, and what draws nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.concat_squash import ConcatSquashField
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.models.planar import PlanarFlow
from odeembed.solve.config import SolveConfig

KEY = jax.random.key(0)
FLOW = ContinuousFlow(ConcatSquashField((8,)), SolveConfig(solver="rk4", steps=4), "hutchinson")


def batch_of(x):
    x = jnp.asarray(x, jnp.float32)
    return Batch(x, jnp.zeros((len(x), 1)), jnp.ones((len(x), 1), bool), jnp.arange(len(x), dtype=jnp.int32))


def points(rows, d, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, d))


def test_without_keys_the_trace_is_exact_and_with_them_an_estimate_of_it():
    model = DensityEstimator(FLOW, width=3)
    batch = batch_of(points(4, 3))
    params = model.init(KEY, batch)
    exact = model.apply(params, batch).log_prob
    like = DensityEstimator(FLOW.clone(trace="exact"), width=3).apply(params, batch).log_prob
    np.testing.assert_allclose(exact, like, rtol=1e-6)
    estimate = jax.jit(lambda key: model.apply(params, batch, jax.random.split(key, 4)).log_prob)
    found = np.stack([estimate(jax.random.key(n)) for n in range(400)])
    spread = found.std(0) / np.sqrt(len(found))
    assert (spread > 0).all() and (np.abs(found.mean(0) - exact) < 4.5 * spread).all()


def test_what_is_carried_forward_comes_back_to_its_base():
    model = DensityEstimator(FLOW, width=2)
    params = model.init(KEY, batch_of(points(1, 2)))
    base = jnp.asarray(points(5, 2), jnp.float32)
    there = model.apply(params, base, method="forward")
    back = model.apply(params, there.x, method="log_prob")
    np.testing.assert_allclose(back.base, base, atol=1e-4)
    np.testing.assert_allclose(back.log_prob, there.log_prob, atol=1e-4)
    path = model.apply(params, base, jnp.array([0.0, 0.5, 1.0]), method="transport").ys
    np.testing.assert_allclose(path[:, -1], there.x, atol=1e-4)
    drawn = model.apply(params, jax.random.split(KEY, 3), method="sample").x
    assert drawn.shape == (3, 2)
    np.testing.assert_array_equal(there.states[:, 0], base)


@pytest.mark.parametrize("method", ["forward", "sample", "transport"])
def test_a_planar_flow_draws_nothing(method):
    model = DensityEstimator(PlanarFlow(2))
    params = model.init(KEY, batch_of(points(1, 2)))
    x = jnp.zeros((1, 2))
    given = {"forward": (x,), "sample": (jax.random.split(KEY, 1),), "transport": (x, jnp.zeros(2))}
    with pytest.raises(ConfigError, match="PlanarFlow gives densities and draws nothing"):
        model.apply(params, *given[method], method=method)
