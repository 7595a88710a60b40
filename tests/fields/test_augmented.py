import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.augmented import Augmented
from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import solve


def test_lift_then_drop_changes_nothing():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    for extra in (0, 2):
        field = Augmented(extra=extra)
        assert field.lift(y).shape == (3, 4 + extra)
        np.testing.assert_array_equal(field.drop(field.lift(y)), y)


def test_with_an_extra_coordinate_minus_y_is_reached():
    """No flow on the line takes y to -y for all y (Dupont et al. 2019, proposition 1); a rotation in the plane does."""
    field = Augmented(extra=1)
    y = jnp.array([[1.0], [-0.5]])
    turn = lambda params, t, y, c: jnp.pi * jnp.stack([-y[:, 1], y[:, 0]], axis=1)  # noqa: E731
    path = solve(turn, None, field.lift(y), jnp.array([0.0, 1.0]), SolveConfig(solver="rk4", steps=64))
    np.testing.assert_allclose(field.drop(path.ys[:, -1]), -y, atol=1e-5)
