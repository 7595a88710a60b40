"""The gradient by replay is that of the recorded steps, to rounding: against direct differentiation; and failures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.config import KEPT_STATES, SolveConfig, Status
from odeembed.solve.solve import Jumps, solve


@pytest.mark.parametrize("control", ["row", "batch"])
@pytest.mark.parametrize(
    ("n", "jumping", "timed"),
    [(2, False, True), (5, False, True), (5, False, False), (5, True, True)],
    ids=["ends", "dense", "dense, times fixed", "jumps"],
)
def test_replay_is_direct_differentiation(wide, rejecting, control, n, jumping, timed):
    """By parameters, state, context, times and inputs; no step is taken otherwise, and some are rejected."""
    config = SolveConfig(solver="dopri5", steps=None, rtol=1e-6, atol=1e-7, control=control, max_steps=60)
    ours, out = rejecting.gradients(config, n, jumping, timed)
    theirs, same = rejecting.gradients(dataclasses.replace(config, adjoint="direct"), n, jumping, timed)
    assert not out.failed.any() and out.stats["rejected"].sum() > 0
    for count in out.stats:
        assert out.stats[count].tolist() == same.stats[count].tolist()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10), ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "n", "jumping"), [("bosh3", 5, False), ("heun", 5, False), ("bosh3", 5, True)]
)
def test_states_are_computed_again_beyond_those_kept(wide, rejecting, solver, n, jumping):
    """Several stretches: the same as one record of everything."""
    rtol = 1e-3 if solver == "heun" else 1e-5
    config = SolveConfig(solver=solver, steps=None, rtol=rtol, atol=rtol / 10, max_steps=4 * KEPT_STATES)
    ours, out = rejecting.gradients(config, n, jumping)
    theirs, _ = rejecting.gradients(dataclasses.replace(config, adjoint="direct"), n, jumping)
    assert not out.failed.any() and out.stats["accepted"].max() > KEPT_STATES + 10
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9), ours, theirs)


def test_memory_grows_with_the_root_of_the_steps():
    """From 4,096 to 65,536 admitted steps, 16 times as many, the states kept are 4 times as many."""

    def temporary(max_steps):
        config = SolveConfig(solver="dopri5", steps=None, max_steps=max_steps)
        loss = lambda y: solve(lambda p, t, y, c: -y, None, y, jnp.array([0.0, 1.0]), config).ys.sum()  # noqa: E731
        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones((1, 20_000))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(65_536) < 5 * temporary(4_096)


NEVER = SolveConfig(solver="dopri5", steps=None, max_steps=40)


@pytest.mark.parametrize("solver", ["dopri5", "heun"])
@pytest.mark.parametrize("control", ["row", "batch"])
def test_a_row_without_a_solution_leaves_the_others_and_their_gradient_alone(solver, control):
    """One row starts where the field is NaN, one runs into it; jit(grad) of a loss that masks both."""
    config = dataclasses.replace(NEVER, solver=solver, control=control, max_steps=400)
    y0 = jnp.array([[1.0], [-1.0], [1.3], [0.5]])
    field = lambda p, t, y, c: p * jnp.sqrt(y) * jnp.array([[1.0], [1.0], [-3.0], [1.0]])  # noqa: E731
    ts = jnp.linspace(0.0, 1.0, 3)

    def loss(p):
        out = solve(field, p, y0, ts, config)
        ok = ~out.failed
        return jnp.sum(jnp.where(ok[:, None, None], out.ys, 0.0)), out

    _, out = jax.jit(loss)(1.1)
    assert out.status[:2].tolist() == [Status.SUCCESS, Status.NONFINITE] and out.status[3] == Status.SUCCESS
    assert out.status[2] in (Status.NONFINITE, Status.UNDERFLOW)
    assert np.isnan(out.ys[1, 1:]).all() and np.isnan(out.ys[2, 2]).all()
    gradient = jax.jit(jax.grad(lambda p: loss(p)[0]))(1.1)
    # y = (sqrt(y0) + p t / 2)^2, so dy/dp = (sqrt(y0) + p t / 2) t, over the two rows that end.
    exact = sum((np.sqrt(a) + 1.1 * t / 2) * t for a in (1.0, 0.5) for t in (0.5, 1.0))
    np.testing.assert_allclose(gradient, exact, rtol=2e-3)


def test_failures_are_named():
    ts = jnp.array([0.0, 1.0])
    run = lambda f, y0, ts, c=NEVER: solve(f, None, jnp.asarray(y0), ts, c)  # noqa: E731
    assert run(lambda p, t, y, c: jnp.full_like(y, jnp.nan), [[1.0]], ts).status.tolist() == [
        Status.NONFINITE
    ]
    assert run(lambda p, t, y, c: y**2, [[2.0], [-1.0]], ts).status.tolist()[1] == Status.SUCCESS
    assert run(lambda p, t, y, c: y**2, [[2.0]], ts).status.tolist() == [Status.MAX_STEPS]
    long = dataclasses.replace(NEVER, max_steps=2000)
    assert run(lambda p, t, y, c: y**2, [[2.0]], ts, long).status.tolist() == [Status.UNDERFLOW]
    back_and_forth = jnp.array([0.0, 1.0, 0.5])
    assert run(lambda p, t, y, c: -y, [[1.0]], back_and_forth).status.tolist() == [Status.BAD_TIMES]
    assert np.isnan(run(lambda p, t, y, c: -y, [[1.0]], back_and_forth).ys[0, 1:]).all()


def test_the_step_size_is_carried_over_jumps():
    """32 tokens, a jump at each: one step of seven evaluations between two of them, and two to begin with."""
    ts, ones = jnp.arange(33.0), jnp.ones((2, 33), bool)
    jumps = Jumps(lambda p, t, y, x: jnp.tanh(y + x), jnp.sin(jnp.arange(66.0)).reshape(2, 33, 1), ones)
    config = SolveConfig(solver="dopri5", steps=None, rtol=1e-3, atol=1e-3)
    out = solve(lambda p, t, y, c: -0.3 * y, None, jnp.ones((2, 1)), ts, config, jumps=jumps)
    assert not out.failed.any() and int(out.stats["evaluations"].max()) <= 2 + 7 * 33


def test_evaluations_are_those_that_were_made():
    calls = []

    def counted(params, t, y, context):
        jax.debug.callback(lambda: calls.append(1))
        return -y * (1 + jnp.sin(20 * t))

    out = solve(
        counted, None, jnp.ones((1, 1)), jnp.linspace(0.0, 3.0, 5), SolveConfig(solver="tsit5", steps=None)
    )
    jax.block_until_ready(out.ys)
    jax.effects_barrier()
    assert len(calls) == int(out.stats["evaluations"][0])
