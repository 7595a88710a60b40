"""Integrals along a path against closed forms, whatever solves it; its steps and states are those without a penalty."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.config import Penalty, SolveConfig, Status
from odeembed.solve.penalty import signs, total_derivative
from odeembed.solve.solve import Jumps, solve

GRID = SolveConfig(solver="rk4", steps=20)
ROW = SolveConfig(solver="dopri5", steps=None, rtol=1e-6, atol=1e-7)
BATCH = dataclasses.replace(ROW, control="batch")
DIRECT = dataclasses.replace(ROW, adjoint="direct", max_steps=64)
RECURSIVE = dataclasses.replace(ROW, adjoint="recursive", control="batch", max_steps=64)
CONFIGS = pytest.mark.parametrize(
    "config", [GRID, ROW, BATCH, DIRECT, RECURSIVE], ids=["grid", "row", "batch", "direct", "recursive"]
)


def decay(params, t, y, context):
    return -params * y


def swing(params, t, y, context):
    return params * jnp.stack([y[..., 1] + jnp.sin(t[..., 0]), -jnp.sin(y[..., 0])], axis=-1)


def penalised(config, **weights):
    return dataclasses.replace(config, penalty=Penalty(**weights))


@CONFIGS
def test_closed_forms_of_decay_with_times_that_rise_and_fall(config):
    """dy/dt = -r y: |f|^2 = r^2 y^2, |df/dy|^2 = r^2 for any signs, |d^2y/dt^2|^2 = r^4 y^2; y^2 = y0^2 exp(-2 r t)."""
    rate, y0 = 0.8, jnp.array([[1.0, -2.0], [0.5, 0.3]])
    ts = jnp.array([[0.0, 0.5, 2.0], [1.0, 0.25, -1.0]])
    found = solve(decay, rate, y0, ts, penalised(config, kinetic=0.5, jacobian=0.25, taylor=2.0))
    assert not found.failed.any()
    times = np.asarray(ts[:, -1] - ts[:, 0])
    integral = np.mean(np.asarray(y0) ** 2, axis=1) * np.abs(np.exp(-2 * rate * times) - 1) / (2 * rate)
    wanted = (0.5 * rate**2 + 2.0 * rate**4) * integral + 0.25 * rate**2 * np.abs(times)
    np.testing.assert_allclose(found.penalty, wanted, rtol=2e-5)


@CONFIGS
def test_steps_and_states_are_those_without_a_penalty(config):
    y0, ts = jnp.array([[1.0, 0.0], [0.2, 0.7]]), jnp.array([[0.0, 1.0, 3.0], [0.0, 0.5, 0.5]])
    # The integrals are far larger than the states: were they judged, there would be more steps.
    found = solve(swing, 2.0, y0, ts, penalised(config, kinetic=1e4, taylor=1e4))
    plain = solve(swing, 2.0, y0, ts, config)
    assert plain.penalty is None
    for name, count in plain.stats.items():
        np.testing.assert_array_equal(found.stats[name], count)
    np.testing.assert_allclose(found.ys, plain.ys, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("config", [GRID, ROW, BATCH], ids=["grid", "row", "batch"])
def test_jumps_waiting_and_turning_back_by_hand(config):
    """A state that halves at t = 1, waits at a masked time and at an equal one, and goes back the way it came."""
    ts = jnp.array([[0.0, 1.0, 9e5, 2.0, 2.0, 1.0]])
    mask = jnp.array([[True, True, False, True, True, True]])
    jumps = Jumps(
        lambda p, t, y, x: x * y, jnp.full((1, 6, 1), 0.5), jnp.array([[False, True] + [False] * 4])
    )
    found = solve(decay, 1.0, jnp.ones((1, 1)), ts, penalised(config, kinetic=1.0), mask=mask, jumps=jumps)
    first = (1 - np.exp(-2.0)) / 2
    second = 0.25 * np.exp(-2.0) * first
    np.testing.assert_allclose(found.penalty, [first + 2 * second], rtol=2e-5)


@pytest.mark.parametrize("config", [GRID, ROW, BATCH], ids=["grid", "row", "batch"])
def test_side_by_side_is_the_sum_of_the_parts_alone(config):
    y0, ts = jnp.array([[1.0, 0.0], [0.2, 0.7]]), jnp.broadcast_to(jnp.array([0.0, 1.0]), (2, 2))
    config = penalised(config, kinetic=1.0, jacobian=1.0, taylor=1.0)
    both = solve(
        lambda p, t, y, c: (swing(p, t[0], y[0], c), swing(2 * p, t[1], y[1], c)),
        1.0,
        (y0, y0 / 2),
        (ts, -ts),
        config,
        noise=(signs(None, y0), signs(None, y0)),
    )
    alone = solve(swing, 1.0, y0, ts, config).penalty + solve(swing, 2.0, y0 / 2, -ts, config).penalty
    np.testing.assert_allclose(both.penalty, alone, rtol=1e-4)


@pytest.mark.parametrize("order", [2, 3])
def test_total_derivatives_of_a_linear_field_with_a_time_of_its_own(order):
    """y' = A y + sin t: y'' = A y' + cos t, y''' = A y'' - sin t."""
    matrix = jnp.array([[-0.3, 1.0], [-1.0, -0.2]])
    f = lambda t, y: y @ matrix.T + jnp.sin(t)  # noqa: E731
    t, y = jnp.array([[0.4]]), jnp.array([[1.0, -2.0]])
    wanted = f(t, y) @ matrix.T + jnp.cos(t)
    if order == 3:
        wanted = wanted @ matrix.T - jnp.sin(t)
    np.testing.assert_allclose(total_derivative(f, order)(t, y), wanted, rtol=1e-6)


def test_over_all_signs_the_jacobian_term_is_the_squared_frobenius_norm():
    matrix = jnp.array([[-0.3, 1.0, 0.5], [-1.0, -0.2, 0.1], [0.0, 2.0, 0.4]])
    noise = jnp.array(list(itertools.product([1.0, -1.0], repeat=3)))
    y0, ts = jnp.ones((8, 3)), jnp.array([0.0, 2.0])
    found = solve(lambda p, t, y, c: y @ p.T, matrix, y0, ts, penalised(GRID, jacobian=1.0), noise=noise)
    assert np.ptp(found.penalty) > 1
    np.testing.assert_allclose(found.penalty.mean(), 2 * jnp.sum(matrix**2) / 3, rtol=1e-5)


def test_entries_without_noise_do_not_count():
    y0, ts = jnp.array([[1.0, 0.5, 100.0]]), jnp.array([0.0, 1.0])
    config = penalised(GRID, kinetic=1.0, jacobian=1.0, taylor=1.0)
    found = solve(decay, 0.7, y0, ts, config, noise=jnp.array([[1.0, -1.0, 0.0]]))
    np.testing.assert_allclose(found.penalty, solve(decay, 0.7, y0[:, :2], ts, config).penalty, rtol=1e-6)


def test_signs_of_a_row_follow_its_key_alone():
    keys, like = jax.random.split(jax.random.key(1), 3), jnp.zeros((3, 50))
    drawn = signs(keys, like)
    assert set(np.unique(drawn)) == {-1, 1}
    np.testing.assert_array_equal(signs(keys[::-1], like), drawn[::-1])
    assert (drawn[0] != drawn[1]).any()
    fixed = signs(None, like)
    assert (fixed == fixed[0]).all()


@pytest.mark.parametrize("adjoint", ["replay", "direct", "grid"])
def test_gradients_against_finite_differences(adjoint):
    """In float64; central differences of step 1e-5 are off by about 1e-10 relative."""
    with jax.enable_x64(True):
        config = SolveConfig(solver="rk4", steps=10)
        if adjoint != "grid":
            config = SolveConfig(
                solver="dopri5", steps=None, rtol=1e-9, atol=1e-9, adjoint=adjoint, max_steps=128
            )
        config = penalised(config, kinetic=1.0, jacobian=0.5, taylor=0.1, order=3)
        y0, ts = jnp.array([[1.0, 0.0], [0.2, 0.7]]), jnp.array([[0.0, 1.0], [1.0, 0.5]])
        loss = jax.jit(lambda p, y: jnp.sum(solve(swing, p, y, ts, config).penalty))
        by_params, by_state = jax.jit(jax.grad(loss, (0, 1)))(1.1, y0)
        step = 1e-5
        wanted = (loss(1.1 + step, y0) - loss(1.1 - step, y0)) / (2 * step)
        np.testing.assert_allclose(by_params, wanted, rtol=1e-6)
        for place in np.ndindex(2, 2):
            move = jnp.zeros((2, 2)).at[place].set(step)
            wanted = (loss(1.1, y0 + move) - loss(1.1, y0 - move)) / (2 * step)
            np.testing.assert_allclose(by_state[place], wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("config", [ROW, BATCH], ids=["row", "batch"])
def test_a_row_that_failed_has_no_penalty_and_the_others_have_theirs(config):
    field = lambda p, t, y, c: jnp.where(c > 0, jnp.nan, -p * y)  # noqa: E731
    lost = jnp.array([[0.0], [1.0]])
    y0, ts = jnp.ones((2, 1)), jnp.array([0.0, 0.5, 1.0])
    found = solve(field, 1.0, y0, ts, penalised(config, kinetic=1.0), lost)
    assert list(found.status) == [Status.SUCCESS, Status.NONFINITE]
    np.testing.assert_allclose(found.penalty[0], (1 - np.exp(-2.0)) / 2, rtol=2e-5)
    assert np.isnan(found.penalty[1])
