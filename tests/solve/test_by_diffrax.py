"""diffrax's own gradient, through the same door: against a fine grid, and the same path as our loop's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import Jumps, solve


def swing(params, t, y, context):
    return params * jnp.stack([y[..., 1], -jnp.sin(y[..., 0])], axis=-1)


@pytest.mark.parametrize("jumping", [False, True])
def test_the_gradient_against_a_fine_grid(jumping):
    """In float64 at tolerance 1e-8 it is within 100 tolerances of the gradient on a grid of error 1e-11."""
    with jax.enable_x64(True):
        ts = jnp.array([[0.0, 1.0, 1.5], [0.0, 0.5, 3.0]], jnp.float64)
        y0 = jnp.array([[1.0, 0.0], [0.2, 0.7]], jnp.float64)
        jumps = None
        if jumping:
            jumps = Jumps(lambda p, t, y, x: y * x, jnp.full((2, 3, 2), 0.9), jnp.ones((2, 3), bool))

        def gradient(config):
            loss = lambda p: jnp.sum(solve(swing, p, y0, ts, config, jumps=jumps).ys ** 2)  # noqa: E731
            return jax.jit(jax.grad(loss))(1.1)

        adaptive = SolveConfig(solver="tsit5", steps=None, rtol=1e-8, atol=1e-8, adjoint="recursive")
        exact = gradient(SolveConfig(solver="rk4", steps=500))
        np.testing.assert_allclose(gradient(adaptive), exact, atol=1e-6)


def test_our_loop_takes_diffrax_steps():
    """Step by step the same control: as many accepted and rejected, and the same states to rounding.

    diffrax starts with a step of 0.01: it wraps its term before it looks for one that it can estimate a step for.
    """
    field = lambda p, t, y, c: -y * (1 + 5 * jnp.sin(9 * t) ** 8)  # noqa: E731
    with jax.enable_x64(True):
        ts, y0 = jnp.linspace(0.0, 1.0, 7), jnp.array([[1.0], [3.0]])

        def out(adjoint):
            config = SolveConfig(
                solver="dopri5", steps=None, rtol=1e-4, atol=1e-5, first_step=0.01, adjoint=adjoint
            )
            return solve(field, None, y0, ts, config)

        ours, theirs = out("replay"), out("recursive")
        for count in ("accepted", "rejected"):
            assert ours.stats[count].tolist() == theirs.stats[count].tolist()
        assert ours.stats["rejected"].sum() > 0
        np.testing.assert_allclose(ours.ys, theirs.ys, rtol=1e-9)
