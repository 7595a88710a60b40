"""Differentiating through every operation: derivatives of any order and direction, of exp."""

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import solve

CONFIG = SolveConfig(solver="bosh3", steps=None, rtol=1e-5, atol=1e-6, max_steps=24, adjoint="direct")


def end(p):
    return solve(lambda p, t, y, c: -p * y, p, jnp.ones((1, 1)), jnp.array([0.0, 1.0]), CONFIG).ys[0, 1, 0]


def test_forward_mode():
    np.testing.assert_allclose(jax.jvp(end, (1.0,), (1.0,))[1], -np.exp(-1.0), rtol=1e-4)


def test_second_derivatives_either_way():
    for second in (jax.hessian(end), jax.grad(jax.grad(end))):
        np.testing.assert_allclose(second(1.0), np.exp(-1.0), rtol=1e-3)
