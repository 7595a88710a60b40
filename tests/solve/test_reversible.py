"""Reversible steps: undone to rounding, of the method's order, and with the gradient of their own discrete solution."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve import solve as door
from odeembed.solve.config import SolveConfig
from odeembed.solve.direct import direct
from odeembed.solve.reversible import Coupled
from odeembed.solve.solve import solve

ADAPTIVE = SolveConfig(
    solver="dopri5", steps=None, rtol=1e-6, atol=1e-7, max_steps=60, adjoint="reversible", coupling=0.99
)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("n", "jumping", "control"),
    [(2, False, "row"), (5, False, "batch"), (5, True, "row")],
    ids=["ends", "dense", "jumps"],
)
def test_the_gradient_is_that_of_the_same_steps_stored(rejecting, control, n, jumping, monkeypatch):
    """By parameters, state, context, times and inputs, against the same scheme differentiated step by step."""
    config = dataclasses.replace(ADAPTIVE, control=control)
    ours, out = rejecting.gradients(config, n, jumping)
    monkeypatch.setitem(door._BY_ADJOINT, "reversible", (Coupled, direct))
    theirs, same = rejecting.gradients(config, n, jumping)
    assert not out.failed.any() and out.stats["rejected"].sum() > 0
    for count in out.stats:
        assert out.stats[count].tolist() == same.stats[count].tolist()
    np.testing.assert_allclose(out.ys, same.ys, rtol=1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9), ours, theirs)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("solver", ["euler", "midpoint", "rk4", "dopri5"])
def test_the_gradient_on_a_grid_is_that_of_finite_differences(rejecting, solver):
    config = SolveConfig(solver=solver, steps=7, adjoint="reversible")
    (params, y0, context, ts, _), _ = rejecting.problem(4)
    at = jax.random.bernoulli(jax.random.key(9), 0.5, ts.shape)
    inputs = jnp.ones((*ts.shape, 3))

    def loss(params, y0, context, ts, inputs):
        out = solve(
            rejecting.field, params, y0, ts, config, context, jumps=door.Jumps(rejecting.jump, inputs, at)
        )
        return jnp.sum(jnp.sin(out.ys) * jnp.arange(1, 5)[None, :, None])

    args = params, y0, context, ts, inputs
    found = jax.jit(jax.grad(loss, (0, 1, 2, 3, 4)))(*args)
    keys = iter(jax.random.split(jax.random.key(1), 20))
    way = jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape, x.dtype), args)
    step = 1e-6
    ahead, behind = (jax.tree.map(lambda x, v, s=s: x + s * step * v, args, way) for s in (1, -1))
    slope = (loss(*ahead) - loss(*behind)) / (2 * step)
    along = sum(jax.tree.leaves(jax.tree.map(lambda g, v: jnp.sum(g * v), found, way)))
    np.testing.assert_allclose(along, slope, rtol=1e-7)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_the_order_is_the_methods(solver, order):
    """Halving the steps divides the error by 2^order, of a linear field against the exponential."""

    def error(steps):
        config = SolveConfig(solver=solver, steps=steps, adjoint="reversible", coupling=0.9)
        out = solve(lambda p, t, y, c: -y * jnp.cos(t), None, jnp.ones((1, 1)), jnp.array([0.0, 2.0]), config)
        return abs(float(out.ys[0, 1, 0]) - np.exp(-np.sin(2.0)))

    assert np.log2(error(64) / error(128)) == pytest.approx(order, abs=0.15)


def test_rounding_grows_with_the_steps_by_one_over_the_coupling():
    """float32 gradients against float64 ones of the same steps: the error is bounded by rounding times coupling^-n."""

    def gradient(steps, coupling, dtype):
        config = SolveConfig(solver="midpoint", steps=steps, adjoint="reversible", coupling=coupling)
        swing = lambda p, t, y, c: p * jnp.stack([y[..., 1], -jnp.sin(y[..., 0])], axis=-1)  # noqa: E731
        loss = lambda p: jnp.sum(  # noqa: E731
            solve(swing, p, jnp.array([[1.0, 0.3]], dtype), jnp.array([0.0, 3.0], dtype), config).ys ** 2
        )
        return float(jax.grad(loss)(jnp.asarray(1.1, dtype)))

    def error(steps, coupling):
        with jax.enable_x64(True):
            exact = gradient(steps, coupling, jnp.float64)
        return abs(gradient(steps, coupling, jnp.float32) / exact - 1)

    eps = np.finfo(np.float32).eps
    for steps in (64, 512, 2048):
        assert error(steps, 0.999) < 10 * eps * steps * 0.999**-steps
    assert error(256, 0.9) > 0.1  # 0.9^-256 is 5e11: too many steps for such a coupling


def test_memory_on_a_grid_is_that_of_one_state():
    """From 8 to 4,096 steps, within 5 per cent."""

    def temporary(steps):
        config = SolveConfig(solver="midpoint", steps=steps, adjoint="reversible")
        ends = jnp.array([0.0, 1.0])
        loss = lambda p, y: solve(lambda p, t, y, c: jnp.tanh(y @ p), p, y, ends, config).ys.sum()  # noqa: E731
        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones((32, 32)), jnp.ones((64, 32))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(4096) <= 1.05 * temporary(8)


def test_both_copies_begin_at_the_state():
    scheme = Coupled(None, None, ADAPTIVE, jax.tree.structure((0, 0)), True)
    y = (jnp.ones(2), {"a": jnp.zeros(3)})
    pair = scheme.carried(y)
    for copy in (scheme.state(pair), scheme.other(pair)):
        assert jax.tree.structure(copy) == jax.tree.structure(y) and copy[0].tolist() == [1.0, 1.0]
