"""The continuous adjoint: against a fine grid, to the tolerance; failures are NaN; memory is that of one state."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.config import SolveConfig, Status
from odeembed.solve.solve import Jumps, solve

ADAPTIVE = SolveConfig(solver="dopri5", steps=None, rtol=1e-9, atol=1e-9, max_steps=300, adjoint="backsolve")


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("control", ["row", "batch"])
@pytest.mark.parametrize(
    ("n", "jumping"), [(2, False), (5, False), (5, True)], ids=["ends", "dense", "jumps"]
)
def test_the_gradient_is_that_of_a_fine_grid(rejecting, control, n, jumping):
    """By parameters, state, context, times and inputs, at a tolerance of 1e-9."""
    ours, out = rejecting.gradients(dataclasses.replace(ADAPTIVE, control=control), n, jumping)
    theirs, _ = rejecting.gradients(SolveConfig(solver="rk4", steps=400), n, jumping)
    assert not out.failed.any()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=3e-6), ours, theirs)


@pytest.mark.usefixtures("wide")
def test_on_a_grid_it_tends_to_the_gradient_of_that_grid(rejecting):
    """The distance to the discrete gradient falls with the fourth power of the steps, as rk4 promises."""
    (params, y0, context, ts, inputs), at = rejecting.problem(3)

    def gradient(steps, adjoint):
        config = SolveConfig(solver="rk4", steps=steps, adjoint=adjoint)

        def loss(params, y0, context, ts, inputs):
            jumps = Jumps(rejecting.jump, inputs, at)
            return jnp.sum(jnp.sin(solve(rejecting.field, params, y0, ts, config, context, jumps=jumps).ys))

        return jnp.concatenate(
            [
                g.ravel()
                for g in jax.tree.leaves(
                    jax.jit(jax.grad(loss, (0, 1, 2, 3, 4)))(params, y0, context, ts, inputs)
                )
            ]
        )

    error = [float(jnp.abs(gradient(n, "backsolve") - gradient(n, "replay")).max()) for n in (128, 256)]
    assert error[1] > 0 and np.log2(error[0] / error[1]) > 3.5


def test_a_way_back_that_does_not_arrive_is_nan():
    """y = (y0^-2 + 2 t)^(-1/2) flattens what it comes from: backward it runs into a pole before the start."""
    config = SolveConfig(solver="dopri5", steps=None, rtol=1e-3, atol=1e-6, max_steps=60, adjoint="backsolve")

    def loss(p):
        out = solve(lambda p, t, y, c: -p * y**3, p, jnp.full((2, 1), 100.0), jnp.array([0.0, 1.0]), config)
        return jnp.sum(out.ys), out.status

    gradient, status = jax.jit(jax.grad(loss, has_aux=True))(1.0)
    assert status.tolist() == [Status.SUCCESS] * 2 and np.isnan(gradient)


@pytest.mark.parametrize("steps", [None, 8])
def test_memory_does_not_grow_with_the_steps(steps):
    """From 8 to 4,096 steps, admitted or on a grid, within 5 per cent."""

    def temporary(most):
        config = SolveConfig(
            solver="midpoint", steps=steps and most, max_steps=most, adjoint="backsolve", rtol=1e-2
        )
        ends = jnp.array([0.0, 1.0])
        loss = lambda p, y: solve(lambda p, t, y, c: jnp.tanh(y @ p), p, y, ends, config).ys.sum()  # noqa: E731
        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones((32, 32)), jnp.ones((64, 32))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(4096) <= 1.05 * temporary(8)
