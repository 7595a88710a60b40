"""Every method converges as its order says, and Euler's as a residual network does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.evaluate.orders import end_of, measure, problems
from odeembed.results import order_table
from odeembed.solve.config import SolveConfig


@pytest.fixture(scope="module")
def rows():
    return measure((16, 32, 64))


def test_every_method_converges_with_its_order(rows):
    for row in rows:
        if row["steps"] == 64 and row["observed"] is not None:
            assert row["observed"] > row["order"] - 0.35, row
    orders = {row["method"]: row["order"] for row in rows}
    assert orders == {"euler": 1, "midpoint": 2, "heun": 2, "ralston": 2, "rk4": 4, "rk38": 4, "bosh3": 3,
                      "tsit5": 5, "dopri5": 5, "dopri8": 8}  # fmt: skip
    assert len(rows) == 2 * len(orders) * 3
    evaluations = {row["method"]: row["evaluations"] for row in rows if row["steps"] == 16}
    assert (evaluations["euler"], evaluations["midpoint"], evaluations["rk4"]) == (16, 32, 64)


def test_eulers_steps_are_the_blocks_of_a_residual_network():
    with jax.enable_x64(True):
        problem = problems()["network"]
        h = problem.y0
        for block in range(16):
            h = h + problem.f(problem.variables, jnp.full((h.shape[0], 1), block / 16), h, None) / 16
        np.testing.assert_allclose(end_of(problem, SolveConfig(solver="euler", steps=16))[0], h, rtol=1e-12)


def test_a_table_is_made_of_it(rows):
    lines = order_table({"rows": rows}).splitlines()
    assert lines[0] == "| problem | method | order | observed | 16 steps | 64 steps |"
    assert len(lines) == 2 + 20 and lines[2].startswith("| 1 / (1 + t^2) | euler | 1 | 1.")
