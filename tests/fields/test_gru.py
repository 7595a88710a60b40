import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.gru import GRUField
from odeembed.fields.waves import waves


def test_the_equation_written_out():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    params = GRUField().init(jax.random.key(1), 0.0, y)
    p = params["params"]
    gates = 1 / (1 + np.exp(-(y @ p["gates"]["kernel"] + p["gates"]["bias"])))
    r, z = gates[:, :4], gates[:, 4:]
    u = np.tanh((r * y) @ p["candidate"]["kernel"] + p["candidate"]["bias"])
    np.testing.assert_allclose(GRUField().apply(params, 0.0, y), (1 - z) * (u - y), rtol=2e-5, atol=1e-6)


def test_time_and_context_are_inputs_where_they_are_asked_for():
    field = GRUField(waves=2, condition=True)
    y, c, t = (jax.random.normal(jax.random.key(i), (3, n)) for i, n in enumerate((4, 2, 1)))
    params = field.init(jax.random.key(3), t, y, c)
    x = np.concatenate([c, waves(t, 2)], axis=1)
    p = params["params"]
    gates = np.concatenate([y, x], axis=1) @ p["gates"]["kernel"] + p["gates"]["bias"]
    r, z = np.split(1 / (1 + np.exp(-gates)), 2, axis=1)
    u = np.tanh(np.concatenate([r * y, x], axis=1) @ p["candidate"]["kernel"] + p["candidate"]["bias"])
    np.testing.assert_allclose(field.apply(params, t, y, c), (1 - z) * (u - y), rtol=2e-5, atol=1e-6)
    slopes = jax.vmap(jax.jacfwd(lambda y, t, c: field.apply(params, t, y, c)))(y, t, c)
    assert np.linalg.norm(slopes, 2, axis=(1, 2)).max() <= field.apply(params, 3.0, method="lipschitz")


def test_the_field_points_inwards_at_the_edge_of_the_cube():
    """|u| < 1, so at y_i = 1 the derivative is negative: states stay in (-1, 1)^d."""
    y = jnp.ones((1, 8))
    params = GRUField().init(jax.random.key(2), 0.0, y)
    assert bool((GRUField().apply(params, 0.0, y) < 0).all())
    assert bool((GRUField().apply(params, 0.0, -y) > 0).all())


def test_the_lipschitz_bound_is_at_most_twice_the_steepest_slope_that_can_be():
    """In one dimension, over many weights and states of the cube, the slope comes within a factor 2 of the bound."""
    weights = 8 * jax.random.normal(jax.random.key(0), (200_000, 6)) * jnp.array([0.2, 1, 1, 0.2, 1, 0.2])
    states = jnp.tanh(2 * jax.random.normal(jax.random.key(1), (200_000,)))

    def slope_over_bound(w, h):
        gates = {"kernel": w[:2].reshape(1, 2), "bias": w[2:4]}
        params = {"params": {"gates": gates, "candidate": {"kernel": w[4:5, None], "bias": w[5:]}}}
        slope = jax.grad(lambda h: GRUField().apply(params, 0.0, h[None])[0])(h)
        return jnp.abs(slope) / GRUField().apply(params, method="lipschitz")

    ratio = float(jax.jit(jax.vmap(slope_over_bound))(weights, states).max())
    assert 0.5 < ratio <= 1
