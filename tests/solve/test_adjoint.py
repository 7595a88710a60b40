"""Sums of cotangents over stops and jumps, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.errors import DerivativeError
from odeembed.solve.adaptive import Scheme
from odeembed.solve.adjoint import add_inputs, by_stop, rows_of_stop
from odeembed.solve.config import SolveConfig, Status
from odeembed.solve.solve import solve
from odeembed.solve.timeline import timeline

SCHEME = Scheme(None, None, SolveConfig(solver="dopri5", steps=None), jax.tree.structure(0), False)
TIMES = jnp.array([[[0.0, 1.0, 1.0, 3.0, 3.0, 4.0]]])
LINE = timeline(TIMES, jnp.zeros(TIMES.shape, bool))


def test_readings_at_one_stop_are_added():
    bars = jnp.array([[[1.0], [2.0], [4.0], [8.0], [16.0], [32.0]]])
    assert LINE.last.tolist() == [[3]]
    assert by_stop(SCHEME, LINE, bars)[0, :3, 0].tolist() == [6.0, 24.0, 32.0]


def test_the_row_of_a_stop_is_taken_for_each_part_and_row():
    states = jnp.arange(6.0).reshape(2, 3, 1)
    assert rows_of_stop(SCHEME, jnp.array([[2, 0]]), states)[:, 0].tolist() == [2.0, 3.0]


def test_inputs_add_up_where_their_jump_is():
    """The jump at the beginning of the second leg is that of the last time at the first stop, number 2."""
    total = add_inputs(SCHEME, LINE, jnp.array([[1]]), jnp.zeros((1, 6, 1)), jnp.ones((1, 1)))
    assert np.flatnonzero(total).tolist() == [2]


@pytest.mark.parametrize("adjoint", ["replay", "reversible", "backsolve"])
def test_derivatives_that_do_not_exist_are_named(adjoint):
    config = SolveConfig(solver="dopri5", steps=None, adjoint=adjoint)

    def end(p):
        return jnp.sum(solve(lambda p, t, y, c: -p * y, p, jnp.ones((1, 1)), jnp.arange(2.0), config).ys)

    with pytest.raises(TypeError, match="custom_vjp"):  # JAX's own words
        jax.jvp(end, (1.0,), (1.0,))
    with pytest.raises(DerivativeError, match="direct"):
        jax.grad(jax.grad(end))(1.0)


@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
def test_a_row_without_a_solution_leaves_the_gradient_of_the_others_alone(adjoint):
    config = SolveConfig(solver="dopri5", steps=None, rtol=1e-5, atol=1e-6, adjoint=adjoint)
    y0 = jnp.array([[1.0], [-1.0], [0.5]])

    def loss(p):
        out = solve(lambda p, t, y, c: p * jnp.sqrt(y), p, y0, jnp.linspace(0.0, 1.0, 3), config)
        return jnp.sum(jnp.where(out.failed[:, None, None], 0.0, out.ys)), out.status

    gradient, status = jax.jit(jax.grad(loss, has_aux=True))(1.1)
    assert status.tolist() == [Status.SUCCESS, Status.NONFINITE, Status.SUCCESS]
    # y = (sqrt(y0) + p t / 2)^2, so dy/dp = (sqrt(y0) + p t / 2) t, over the two rows that end.
    exact = sum((np.sqrt(a) + 1.1 * t / 2) * t for a in (1.0, 0.5) for t in (0.5, 1.0))
    np.testing.assert_allclose(gradient, exact, rtol=1e-4)
