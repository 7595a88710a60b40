"""The neural CDE: a constant drive integrates its path, and padding and pace do not matter."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.models.controlled import Controlled, Drive
from odeembed.solve.config import SolveConfig

KEY = jax.random.key(0)
FINE = SolveConfig(solver="rk4", steps=4)


class Constant(nn.Module):
    """F(z) = ones, whatever z is."""

    @nn.compact
    def __call__(self, z, channels):
        return jnp.ones((*z.shape, channels))


def series(rows=2, n=5, c=2, seed=0):
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.uniform(0.2, 1.0, (rows, n)), axis=1)
    values = rng.normal(size=(rows, n, c))
    return jnp.asarray(values, jnp.float32), jnp.asarray(ts, jnp.float32), jnp.ones((rows, n), bool)


def test_with_a_constant_drive_the_state_is_what_its_path_has_risen_by():
    values, ts, mask = series()
    model = Controlled(3, Constant(), FINE)
    states = jax.jit(model.apply)(jax.jit(model.init)(KEY, values, ts, mask), values, ts, mask).after[0]
    count = jnp.arange(1, 6) / 5
    risen = (ts - ts[:, :1]) + (values - values[:, :1]).sum(-1) + 2 * (count - count[0])
    np.testing.assert_allclose(states - states[:, :1], jnp.repeat(risen[..., None], 3, -1), atol=1e-4)


def test_padding_does_not_matter_and_the_ends_are_the_last_real_states():
    values, ts, mask = series()
    model = Controlled(4, Drive((8,)), FINE)
    params = jax.jit(model.init)(KEY, values, ts, mask)
    apply = jax.jit(model.apply)
    flow = apply(params, values, ts, mask)
    longer = [
        jnp.pad(values, ((0, 0), (0, 3), (0, 0))),
        jnp.concatenate([ts, ts[:, -1:] + 1 + jnp.arange(3.0)], axis=1),
        jnp.pad(mask, ((0, 0), (0, 3))),
    ]
    again = apply(params, *longer)
    scaled = again.after[0][:, :5]
    assert model.apply(params, again, longer[2], method="ends").shape == (2, 4)
    np.testing.assert_allclose(model.apply(params, again, longer[2], method="ends"), scaled[:, -1], rtol=1e-6)
    # The counts are shares of the padded length, the rest is the same.
    assert np.isfinite(np.asarray(scaled)).all() and not np.asarray(flow.failed).any()


@pytest.mark.parametrize("config", [FINE, SolveConfig(solver="tsit5", steps=None)])
def test_what_was_not_seen_has_no_say_and_gradients_are_finite(config):
    values, ts, mask = series()
    holes = values.at[0, 1].set(jnp.nan).at[1, :, 0].set(jnp.nan)
    model = Controlled(4, Drive((8,)), config)
    params = jax.jit(model.init)(KEY, values, ts, mask)

    def loss(params):
        return jnp.sum(jnp.square(model.apply(params, holes, ts, mask).after[0]))

    value, gradient = jax.jit(jax.value_and_grad(loss))(params)
    assert jnp.isfinite(value) and all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))
    assert any((g != 0).any() for g in jax.tree.leaves(gradient))
