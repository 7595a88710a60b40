import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.fields.attention import AttentionContext, AttentionField, distance_bias


def run(times, keys, y, params=None):
    field = AttentionField(heads=2)
    context = AttentionContext(times, keys)
    params = field.init(jax.random.key(0), 0.0, y, context) if params is None else params
    return field.apply(params, 0.0, y, context), params


def test_positions_that_are_no_keys_reach_no_other():
    y = jax.random.normal(jax.random.key(1), (1, 5, 8))
    times, keys = jnp.arange(5.0)[None], jnp.array([[True, True, True, False, False]])
    first, params = run(times, keys, y)
    second, _ = run(times, keys, y.at[:, 3:].set(7.0), params)
    np.testing.assert_array_equal(first[:, :3], second[:, :3])


def test_order_is_known_by_time_and_not_by_place():
    y = jax.random.normal(jax.random.key(1), (1, 5, 8))
    keys = jnp.ones((1, 5), bool)
    times = jnp.arange(5.0)[None]
    out, params = run(times, keys, y)
    shuffle = jnp.array([3, 1, 4, 0, 2])
    moved, _ = run(times[:, shuffle], keys, y[:, shuffle], params)
    np.testing.assert_allclose(moved, out[:, shuffle], rtol=1e-5, atol=1e-5)
    other, _ = run(times[:, shuffle], keys, y, params)
    assert float(jnp.abs(other - out).max()) > 1e-3


def test_the_bias_is_linear_in_the_distance_with_a_slope_for_each_direction():
    bias = distance_bias(jnp.array([[0.0, 1.0, 3.0]]), jnp.array([-1.0, -2.0]), jnp.array([-3.0, -4.0]))
    np.testing.assert_allclose(bias[0, 0], [[0, -3, -9], [-1, 0, -6], [-3, -2, 0]])
    np.testing.assert_allclose(bias[0, 1], [[0, -4, -12], [-2, 0, -8], [-6, -4, 0]])


def test_heads_that_do_not_divide_the_width_are_named():
    y, keys = jnp.ones((1, 5, 8)), jnp.ones((1, 5), bool)
    with pytest.raises(ConfigError, match=r"divide the width of a state, 8; got 6\. Use 2"):
        AttentionField(heads=6).init(jax.random.key(0), 0.0, y, AttentionContext(jnp.ones((1, 5)), keys))
