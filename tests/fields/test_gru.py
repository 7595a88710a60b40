import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.gru import GRUField


def test_the_equation_written_out():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    params = GRUField().init(jax.random.key(1), 0.0, y)
    p = params["params"]
    gates = 1 / (1 + np.exp(-(y @ p["gates"]["kernel"] + p["gates"]["bias"])))
    r, z = gates[:, :4], gates[:, 4:]
    u = np.tanh((r * y) @ p["candidate"]["kernel"] + p["candidate"]["bias"])
    np.testing.assert_allclose(GRUField().apply(params, 0.0, y), (1 - z) * (u - y), rtol=2e-5, atol=1e-6)


def test_the_field_points_inwards_at_the_edge_of_the_cube():
    """|u| < 1, so at y_i = 1 the derivative is negative: states stay in (-1, 1)^d."""
    y = jnp.ones((1, 8))
    params = GRUField().init(jax.random.key(2), 0.0, y)
    assert bool((GRUField().apply(params, 0.0, y) < 0).all())
    assert bool((GRUField().apply(params, 0.0, -y) > 0).all())
