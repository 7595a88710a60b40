import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import solve
from odeembed.solve.tableau import DIFFRAX_SOLVERS

ORDER = {
    "euler": 1, "midpoint": 2, "heun": 2, "ralston": 2, "rk4": 4, "rk38": 4, "bosh3": 3, "tsit5": 5, "dopri5": 5
}  # fmt: skip


def wave(params, t, y, context):
    return jnp.cos(t) * y * params


@pytest.mark.parametrize("solver", list(ORDER))
def test_order_of_convergence(solver):
    """y' = y cos t has y(1) = exp(sin 1); halving the step divides the error by 2^order."""
    with jax.enable_x64(True):
        y0, ts = jnp.ones((1, 1), jnp.float64), jnp.array([0.0, 1.0], jnp.float64)
        steps = 16 if ORDER[solver] >= 4 else 64
        error = [
            abs(
                float(solve(wave, 1.0, y0, ts, SolveConfig(solver=solver, steps=n)).ys[0, 1, 0])
                - np.exp(np.sin(1.0))
            )
            for n in (steps, 2 * steps)
        ]
    assert abs(np.log2(error[0] / error[1]) - ORDER[solver]) < 0.35


@pytest.mark.parametrize("solver", list(DIFFRAX_SOLVERS))
def test_a_step_is_diffrax_step(solver):
    method = DIFFRAX_SOLVERS[solver]()
    y0 = jax.random.normal(jax.random.key(0), (1, 4))
    term = diffrax.ODETerm(lambda t, y, args: jnp.cos(t) * y * 1.5)
    state = method.init(term, 0.2, 0.6, y0, None)
    theirs = method.step(term, 0.2, 0.6, y0, None, state, False)[0]
    ours = solve(wave, 1.5, y0, jnp.array([0.2, 0.6]), SolveConfig(solver=solver, steps=1)).ys[:, 1]
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)


def test_storing_and_recomputing_give_the_same_gradient():
    y0, ts = jnp.ones((2, 1)), jnp.linspace(0.0, 2.0, 5)

    def gradient(adjoint):
        config = SolveConfig(solver="rk4", steps=6, adjoint=adjoint)
        return jax.grad(lambda p: solve(wave, p, y0, ts, config).ys.sum())(1.3)

    np.testing.assert_allclose(gradient("recursive"), gradient("direct"), rtol=1e-6)


def test_gradient_against_finite_differences():
    with jax.enable_x64(True):
        y0, ts = jnp.ones((2, 1), jnp.float64), jnp.linspace(0.0, 2.0, 5, dtype=jnp.float64)
        f = lambda p: solve(wave, p, y0, ts, SolveConfig(steps=3)).ys.sum()  # noqa: E731
        h = 1e-6
        np.testing.assert_allclose(jax.grad(f)(1.3), (f(1.3 + h) - f(1.3 - h)) / (2 * h), rtol=1e-8)


def test_evaluations_are_counted():
    calls = []

    def counted(params, t, y, context):
        jax.debug.callback(lambda: calls.append(1))
        return y

    out = solve(
        counted, None, jnp.ones((1, 1)), jnp.array([0.0, 1.0, 2.0]), SolveConfig(solver="bosh3", steps=2)
    )
    jax.block_until_ready(out.ys)
    jax.effects_barrier()
    assert len(calls) == int(out.stats["evaluations"][0]) == 2 * 2 * 3
