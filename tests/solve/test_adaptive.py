import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import Jumps, solve


def swing(params, t, y, context):
    return params * jnp.stack([y[..., 1], -jnp.sin(y[..., 0])], axis=-1)


@pytest.mark.parametrize("adjoint", ["replay", "direct"])
@pytest.mark.parametrize("jumping", [False, True])
def test_gradients_against_a_fine_grid(adjoint, jumping):
    """In float64 at tolerance 1e-8 every method is within 100 tolerances of the gradient on a grid of error 1e-11."""
    with jax.enable_x64(True):
        ts = jnp.array([[0.0, 1.0, 1.5], [0.0, 0.5, 3.0]], jnp.float64)
        y0 = jnp.array([[1.0, 0.0], [0.2, 0.7]], jnp.float64)
        jumps = None
        if jumping:
            jumps = Jumps(lambda p, t, y, x: y * x, jnp.full((2, 3, 2), 0.9), jnp.ones((2, 3), bool))

        def gradient(config):
            loss = lambda p: jnp.sum(solve(swing, p, y0, ts, config, jumps=jumps).ys ** 2)  # noqa: E731
            return jax.jit(jax.grad(loss))(1.1)

        adaptive = SolveConfig(solver="tsit5", steps=None, rtol=1e-8, atol=1e-8, adjoint=adjoint)
        exact = gradient(SolveConfig(solver="rk4", steps=500))
        np.testing.assert_allclose(gradient(adaptive), exact, atol=1e-6)


@pytest.mark.parametrize("rtol", [1e-3, 1e-5])
def test_error_follows_the_tolerance(rtol):
    config = SolveConfig(solver="dopri5", steps=None, rtol=rtol, atol=rtol / 10)
    ts = jnp.linspace(0.0, 5.0, 6)
    y = solve(lambda p, t, y, c: -y, None, jnp.ones((1, 1)), ts, config).ys[0, :, 0]
    np.testing.assert_allclose(y, jnp.exp(-ts), atol=10 * rtol)


def test_context_and_params_are_both_differentiated():
    config = SolveConfig(solver="dopri5", steps=None, rtol=1e-6, atol=1e-7)
    ts = jnp.array([0.0, 1.0])

    def final(p, c):
        return solve(lambda p, t, y, c: p * c * y, p, jnp.ones((2, 1)), ts, config, c).ys[:, 1].sum()

    by_params, by_context = jax.grad(final, (0, 1))(0.5, jnp.array([[1.0], [2.0]]))
    np.testing.assert_allclose(by_context, [[0.5 * np.exp(0.5)], [0.5 * np.exp(1.0)]], rtol=1e-4)
    np.testing.assert_allclose(by_params, np.exp(0.5) + 2 * np.exp(1.0), rtol=1e-4)
