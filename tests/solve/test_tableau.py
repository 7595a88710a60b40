import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.solve.tableau import DIFFRAX_SOLVERS, curve, dense_matrix, moved, on_curve, tableau

ADAPTIVE = ["midpoint", "heun", "ralston", "bosh3", "tsit5", "dopri5", "dopri8"]


@pytest.mark.parametrize("solver", ["euler", "rk4", "rk38", *ADAPTIVE])
def test_tableaus_are_consistent(solver):
    table = tableau(solver)
    np.testing.assert_allclose(sum(table.b), 1.0, atol=1e-12)
    np.testing.assert_allclose([sum(row) for row in table.a], table.c, atol=1e-12)
    assert [len(row) for row in table.a] == list(range(1, len(table.b)))
    if table.error:
        np.testing.assert_allclose(sum(table.error), 0.0, atol=1e-12)


def test_what_is_carried_from_step_to_step():
    assert [tableau(s).fsal for s in ("midpoint", "heun", "bosh3", "tsit5", "dopri5")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert [tableau(s).needed for s in ("midpoint", "bosh3", "dopri5")] == [2, 3, 6]


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_dense_output_ends_where_the_step_does(solver):
    np.testing.assert_allclose(dense_matrix(solver).sum(1), tableau(solver).b, atol=2e-5)


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_dense_output_begins_with_the_first_slope(solver):
    np.testing.assert_allclose(dense_matrix(solver)[:, 0], np.eye(len(tableau(solver).b))[0], atol=1e-7)


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_dense_output_is_of_order_four_or_of_the_methods(solver):
    """t^q with q below the order, integrated from its slopes at the nodes, is right everywhere within the step."""
    table, theta = tableau(solver), np.linspace(0.0, 1.0, 11)
    matrix = dense_matrix(solver)
    weights = theta[:, None] ** np.arange(1, 1 + matrix.shape[1]) @ matrix.T
    nodes = np.array((0.0, *table.c))
    for q in range(min(table.order, 4)):
        np.testing.assert_allclose(weights @ nodes**q, theta ** (q + 1) / (q + 1), atol=1e-6)


@pytest.mark.parametrize("solver", ["bosh3", "tsit5", "dopri5", "dopri8"])
def test_dense_output_is_diffrax_dense_output(solver):
    ks = [jax.random.normal(jax.random.key(i), (2, 3)) for i in range(len(tableau(solver).b))]
    dt, theta = jnp.array([0.7, -0.2]), jnp.array([[0.3, 0.9], [0.1, 0.5]])
    y = jnp.ones((2, 3))
    end = moved(dt, y, tableau(solver).b, ks)
    slope, curvature = ks[0], curve(solver, dt, ks)
    ours = on_curve(y[:, None], slope[:, None], curvature[:, None], theta * dt[:, None], theta)
    for row in range(2):
        theirs = DIFFRAX_SOLVERS[solver].interpolation_cls(
            t0=0.0, t1=1.0, y0=y[row], y1=end[row], k=jnp.stack([dt[row] * k[row] for k in ks])
        )
        for j in range(2):
            np.testing.assert_allclose(ours[row, j], theirs.evaluate(theta[row, j]), rtol=1e-4, atol=1e-4)
