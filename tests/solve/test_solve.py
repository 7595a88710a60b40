"""The door: values against expm, rows, masks, jumps, falling times, statuses; the same for every control."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from odeembed.fields.mlp import MLPField
from odeembed.precision import products
from odeembed.solve.config import SolveConfig, Status
from odeembed.solve.solve import Jumps, solve

GRID = SolveConfig(solver="rk4", steps=20)
ROW = SolveConfig(solver="dopri5", steps=None, rtol=1e-6, atol=1e-7)
BATCH = SolveConfig(solver="dopri5", steps=None, rtol=1e-6, atol=1e-7, control="batch")
CONFIGS = pytest.mark.parametrize("config", [GRID, ROW, BATCH], ids=["grid", "row", "batch"])


def linear(params, t, y, context):
    return y @ params.T


@pytest.fixture
def matrix():
    return jnp.array([[-0.3, 1.0], [-1.0, -0.2]])


@CONFIGS
def test_linear_field_against_expm_with_times_of_each_row(config, matrix):
    y0 = jax.random.normal(jax.random.key(0), (3, 2))
    ts = jnp.array([[0.0, 0.5, 2.0], [1.0, 1.5, 1.75], [0.0, -0.5, -1.0]])
    out = jax.jit(lambda p: solve(linear, p, y0, ts, config))(matrix)
    assert not out.failed.any()
    for i in range(3):
        for k in range(3):
            exact = scipy.linalg.expm(np.asarray(matrix) * float(ts[i, k] - ts[i, 0])) @ y0[i]
            np.testing.assert_allclose(out.ys[i, k], exact, rtol=2e-5, atol=2e-6)


@CONFIGS
def test_masked_times_are_not_visited(config, matrix):
    """A time of 1e6 that is masked changes nothing; the row waits where it was."""
    y0 = jnp.ones((2, 2))
    ts = jnp.array([[0.0, 1.0, 1e6, 2.0], [1e6, 0.0, 1.0, 2.0]])
    mask = jnp.array([[True, True, False, True], [False, True, True, True]])
    out = solve(linear, matrix, y0, ts, config, mask=mask)
    assert not out.failed.any()
    wanted = [scipy.linalg.expm(np.asarray(matrix) * t) @ np.ones(2) for t in (0.0, 1.0, 2.0)]
    for row, places in ((0, (0, 1, 3)), (1, (1, 2, 3))):
        np.testing.assert_allclose(out.ys[row, jnp.array(places)], wanted, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(out.ys[0, 2], wanted[1], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(out.ys[1, 0], y0[1])


@CONFIGS
def test_jumps_change_the_state_after_it_was_read(config):
    """dy/dt = -y with y <- y + x at the times marked, by hand."""
    y0 = jnp.array([[1.0], [1.0]])
    ts = jnp.broadcast_to(jnp.arange(3.0), (2, 3))
    jumps = Jumps(
        lambda p, t, y, x: y + x, jnp.ones((2, 3, 1)), jnp.array([[True, False, True], [False, True, False]])
    )
    out = solve(lambda p, t, y, c: -y, None, y0, ts, config, jumps=jumps)
    e = np.exp(-1.0)
    np.testing.assert_allclose(out.ys[0, :, 0], [1.0, 2 * e, 2 * e * e], rtol=1e-5)
    np.testing.assert_allclose(out.ys[1, :, 0], [1.0, e, (e + 1) * e], rtol=1e-5)


@CONFIGS
def test_two_solves_side_by_side_are_the_two_alone(config, matrix):
    y0 = jax.random.normal(jax.random.key(1), (3, 2))
    forward = jnp.broadcast_to(jnp.array([0.0, 0.4, 1.0]), (3, 3))
    both = solve(
        lambda p, t, y, c: (linear(p, t[0], y[0], c), -linear(p, t[1], y[1], c)),
        matrix,
        (y0, y0),
        (forward, -2 * forward),
        config,
    )
    np.testing.assert_allclose(
        both.ys[0], solve(linear, matrix, y0, forward, config).ys, rtol=2e-5, atol=1e-5
    )
    alone = solve(lambda p, t, y, c: -linear(p, t, y, c), matrix, y0, -2 * forward, config)
    np.testing.assert_allclose(both.ys[1], alone.ys, rtol=2e-5, atol=1e-5)


def test_without_a_field_the_state_rests_between_jumps():
    ts = jnp.broadcast_to(jnp.arange(3.0), (1, 3))
    jumps = Jumps(lambda p, t, y, x: 2 * y + x, jnp.ones((1, 3, 1)), jnp.ones((1, 3), bool))
    out = solve(None, None, jnp.ones((1, 1)), ts, SolveConfig(), jumps=jumps)
    np.testing.assert_allclose(out.ys[0, :, 0], [1.0, 3.0, 7.0])
    assert int(out.stats["evaluations"][0]) == 0


@CONFIGS
def test_a_row_alone_is_the_row_in_its_batch(config):
    """A stiff neighbour must not move the others; with one step size for all it may, within the tolerance."""
    rates = jnp.array([[0.5], [30.0], [2.0]])
    field = lambda p, t, y, c: -c * jnp.sin(p * y)  # noqa: E731
    y0, ts = jnp.array([[1.0], [0.3], [-2.0]]), jnp.broadcast_to(jnp.linspace(0, 1, 4), (3, 4))
    together = solve(field, 1.3, y0, ts, config, rates)
    for i in range(3):
        alone = solve(field, 1.3, y0[i : i + 1], ts[i : i + 1], config, rates[i : i + 1])
        np.testing.assert_allclose(alone.ys[0], together.ys[i], rtol=1e-5, atol=1e-5)
        if config.control == "row":
            assert int(alone.stats["evaluations"][0]) == int(together.stats["evaluations"][i])


def test_rows_have_steps_of_their_own():
    rates = jnp.array([[0.5], [60.0]])
    field = lambda p, t, y, c: c * (jnp.cos(c * t) - y)  # noqa: E731
    y0, ts = jnp.zeros((2, 1)), jnp.broadcast_to(jnp.array([0.0, 1.0]), (2, 2))
    counts = solve(field, None, y0, ts, ROW, rates).stats["accepted"]
    assert int(counts[0]) * 4 < int(counts[1])
    shared = solve(field, None, y0, ts, BATCH, rates).stats["accepted"]
    assert int(shared[0]) == int(shared[1])


@pytest.mark.parametrize("control", ["row", "batch"])
def test_max_steps_is_a_status_and_not_a_number(control):
    config = SolveConfig(solver="dopri5", steps=None, max_steps=3, control=control)
    field = lambda p, t, y, c: 200.0 * jnp.cos(p * t) * jnp.ones_like(y)  # noqa: E731
    ts = jnp.broadcast_to(jnp.array([0.0, 1.0]), (2, 2))

    def loss(p):
        out = solve(field, p, jnp.zeros((2, 1)), ts, config)
        return jnp.sum(jnp.where(out.failed[:, None, None], 0.0, out.ys)), out.status

    (value, status), _ = jax.jit(jax.value_and_grad(loss, has_aux=True))(200.0)
    assert value == 0 and (status == Status.MAX_STEPS).all()


def test_a_blow_up_on_a_fixed_grid_is_named_row_by_row():
    field = lambda p, t, y, c: y**3  # noqa: E731
    out = solve(field, None, jnp.array([[0.1], [1e20]]), jnp.array([0.0, 1.0]), GRID)
    assert out.status.tolist() == [Status.SUCCESS, Status.NONFINITE]


def test_composes_with_vmap_grad_scan_and_remat(matrix):
    ts = jnp.array([0.0, 1.0])

    def final(y, p):
        return solve(linear, p, y, ts, GRID).ys[:, -1]

    y = jax.random.normal(jax.random.key(2), (4, 3, 2))
    np.testing.assert_allclose(
        jax.vmap(final, (0, None))(y, matrix), jnp.stack([final(row, matrix) for row in y]), rtol=1e-6
    )
    looped = jax.lax.scan(lambda c, _: (jax.checkpoint(final)(c, matrix), None), y[0], None, length=3)[0]
    np.testing.assert_allclose(looped, final(final(final(y[0], matrix), matrix), matrix), rtol=1e-5)
    np.testing.assert_allclose(
        jax.jvp(lambda p: final(y[0], p).sum(), (matrix,), (jnp.ones((2, 2)),))[1],
        jnp.sum(jax.grad(lambda p: final(y[0], p).sum())(matrix)),
        rtol=1e-4,
    )


TIGHT = dataclasses.replace(ROW, solver="dopri5", rtol=1e-5, atol=1e-5)
MLP = MLPField(hidden=(32,))


@pytest.fixture(scope="module")
def flow():
    """(loss of a config, its variables): a perceptron with jumps between four times, and the solution beside."""
    y0, x = jax.random.normal(jax.random.key(0), (3, 8)), jax.random.normal(jax.random.key(1), (3, 4, 8))
    jump = nn.Dense(8, use_bias=False)
    variables = {
        "field": MLP.init(jax.random.key(2), 0.0, y0),
        "jump": jump.init(jax.random.key(3), y0),
    }

    def loss(variables, config):
        solution = solve(
            lambda p, t, y, c: MLP.apply(p["field"], t, y),
            variables,
            y0,
            jnp.arange(4.0),
            config,
            jumps=Jumps(lambda p, t, y, x: jump.apply(p["jump"], y) + x, x, jnp.arange(4) == jnp.arange(4)),
        )
        return jnp.sum(jnp.sin(solution.ys)), solution

    return loss, variables


def differentiated(flow, config, surroundings="float32"):
    loss, variables = flow
    find = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    (_, solution), gradient = products(surroundings)(find)(variables, config)
    return solution, gradient


def same(first, second):
    return all(map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(second)))


@pytest.mark.parametrize("adjoint", ["replay", "direct"])
def test_a_field_with_adaptive_steps_is_exact_whatever_surrounds_it(adjoint):
    y0 = jax.random.normal(jax.random.key(0), (3, 8))
    variables = MLP.init(jax.random.key(2), 0.0, y0)
    config = dataclasses.replace(TIGHT, solver="bosh3", adjoint=adjoint)

    def gradient(kind):
        find = jax.value_and_grad(
            lambda v: jnp.sum(
                solve(lambda p, t, y, c: MLP.apply(p, t, y), v, y0, jnp.array([0.0, 1.0]), config).ys
            )
        )
        return products(kind)(jax.jit(find))(variables)

    assert same(gradient("bfloat16"), gradient("float32"))


def test_rounded_products_cost_steps_at_a_tight_tolerance_and_only_where_they_are_asked_for(flow):
    exact, _ = differentiated(flow, TIGHT)
    inside, _ = differentiated(flow, TIGHT, "bfloat16")
    rounded, _ = differentiated(flow, dataclasses.replace(TIGHT, products="bfloat16"))
    assert not (exact.failed | inside.failed | rounded.failed).any()
    total = lambda solution: int(solution.stats["evaluations"].sum())  # noqa: E731
    assert not same(exact.ys, inside.ys), "the jumps are rounded"
    assert abs(total(inside) / total(exact) - 1) < 0.1
    assert total(rounded) > 1.5 * total(exact)


def test_on_a_grid_the_surroundings_decide_unless_the_config_does(flow):
    grid = dataclasses.replace(GRID, steps=2)
    exact, rounded = (differentiated(flow, grid, kind) for kind in ("float32", "bfloat16"))
    assert not same(exact[0].ys, rounded[0].ys)
    always = differentiated(flow, dataclasses.replace(grid, products="bfloat16"))
    never = differentiated(flow, dataclasses.replace(grid, products="float32"), "bfloat16")
    for found in (always, never):  # The field as the config says, the jumps as their surroundings are.
        assert not same(found[0].ys, exact[0].ys) and not same(found[0].ys, rounded[0].ys)
    both = differentiated(flow, dataclasses.replace(grid, products="bfloat16"), "bfloat16")
    assert same(both, rounded)


def test_the_gradient_of_rounded_products_is_that_of_the_recorded_steps(flow):
    config = dataclasses.replace(TIGHT, solver="bosh3", rtol=1e-3, atol=1e-3, products="bfloat16")
    replayed, by_replay = differentiated(flow, config, "bfloat16")
    direct, by_direct = differentiated(flow, dataclasses.replace(config, adjoint="direct"), "bfloat16")
    assert same(replayed.stats, direct.stats)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), by_replay, by_direct)


def test_a_gradient_taken_outside_the_setting_is_that_of_the_solve_inside(flow):
    loss, variables = flow
    outside = jax.jit(jax.grad(lambda v: products("bfloat16")(loss)(v, TIGHT)[0]))(variables)
    inside = products("bfloat16")(jax.jit(jax.grad(lambda v: loss(v, TIGHT)[0])))(variables)
    assert same(outside, inside)
