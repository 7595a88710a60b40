"""From a residual network to an equation: how fast each method's steps converge, on a known path and on a field.

A residual network of N blocks h <- h + f(t, h) / N is N steps of Euler's method, its weights a function of the depth t
(Chen et al. 2018, eq. 1 and 2). What it computes goes to the solution of dh/dt = f(t, h) as 1/N; a method of order p
goes there as 1/N^p.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.mlp import MLPField
from odeembed.solve.config import SolveConfig, Solver
from odeembed.solve.solve import solve
from odeembed.solve.tableau import tableau

Row = Mapping[str, Any]

STEPS = (2, 4, 8, 16, 32, 64, 128, 256)
_ROUNDING = 1e-11  # of float64 sums of so many steps: errors below it say nothing of the method
_FINE = SolveConfig(solver="dopri8", steps=512)
_SCALE = 2.0  # of the network's weights, over those at the start of training


class Problem(NamedTuple):
    """dy/dt = f(variables, t, y, None) from y0 [b, d] at time 0, and the truth [b, d] at time `end`."""

    f: Callable[..., Any]
    variables: Any
    y0: Any
    end: float
    truth: Any


def problems() -> dict[str, Problem]:
    """A path in closed form, y = 1 / (1 + t^2); and a network as field, whose truth is a solve with far finer steps."""
    y0 = jnp.ones((1, 1))
    closed = Problem(lambda p, t, y, c: -2 * t * y**2, {}, y0, 2.0, np.full((1, 1), 0.2))
    field = MLPField(hidden=(32,), time=True)
    keys = jax.random.split(jax.random.key(0))
    h0 = jax.random.normal(keys[0], (16, 8))
    variables = jax.tree.map(lambda w: _SCALE * w.astype(h0.dtype), field.init(keys[1], 0.0, h0))
    network = Problem(lambda p, t, y, c: field.apply(p, t, y), variables, h0, 1.0, None)
    return {"1 / (1 + t^2)": closed, "network": network._replace(truth=end_of(network, _FINE)[0])}


def measure(
    steps: Sequence[int] = STEPS, say: Callable[[str], object] = lambda line: None
) -> list[dict[str, Any]]:
    """Errors at the end, by root mean square over that of the truth, in float64.

    Returns:
      A row a problem, method and number of steps: problem, method, order (that it should have), steps, evaluations,
      error, and observed: the order seen from half the steps to these; None where rounding is all that is left.
    """
    return list(_rows(steps, say))


def _rows(steps: Sequence[int], say: Callable[[str], object]) -> Iterator[dict[str, Any]]:
    with jax.enable_x64(True):
        for name, problem in problems().items():
            size = math.sqrt(np.mean(np.square(problem.truth)))
            for method in get_args(Solver):
                table, errors = tableau(method), {}
                for count in sorted(steps):
                    found, evaluations = end_of(problem, SolveConfig(solver=method, steps=count))
                    errors[count] = float(np.sqrt(np.mean(np.square(found - problem.truth)))) / size
                    before = errors.get(count // 2) if count % 2 == 0 else None
                    seen = before is not None and min(before, errors[count]) > _ROUNDING
                    yield {
                        "problem": name,
                        "method": method,
                        "order": table.order,
                        "steps": count,
                        "evaluations": evaluations,
                        "error": errors[count],
                        "observed": math.log2(before / errors[count])
                        if before is not None and seen
                        else None,
                    }
                say(f"{name}, {method}: error {errors[max(steps)]:.0e} after {max(steps)} steps")


def end_of(problem: Problem, config: SolveConfig) -> tuple[np.ndarray, float]:
    """The state at the end, and the evaluations a row."""
    ts = jnp.array([0.0, problem.end], problem.y0.dtype)
    run = jax.jit(lambda variables, y0: solve(problem.f, variables, y0, ts, config))
    found = run(problem.variables, problem.y0)
    return np.asarray(found.ys[:, -1]), float(np.mean(found.stats["evaluations"]))
