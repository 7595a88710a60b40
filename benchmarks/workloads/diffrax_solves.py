"""Solves by diffrax as its documentation shows them: `diffeqsolve` on the whole batch, or under `vmap`."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import jax
import numpy as np

from odeembed.solve.config import SolveConfig


class RK38(diffrax.AbstractERK):
    """The 3/8 rule, which diffrax does not bring: its recipe for a method given by a tableau."""

    tableau: ClassVar[diffrax.ButcherTableau | diffrax.MultiButcherTableau] = diffrax.ButcherTableau(
        c=np.array([1 / 3, 2 / 3, 1.0]),
        b_sol=np.array([1 / 8, 3 / 8, 3 / 8, 1 / 8]),
        b_error=np.zeros(4),
        a_lower=(np.array([1 / 3]), np.array([-1 / 3, 1.0]), np.array([1.0, -1.0, 1.0])),
    )
    interpolation_cls: ClassVar[Callable[..., diffrax.AbstractLocalInterpolation]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def order(self, terms: Any) -> int:
        """4."""
        return 4


_SOLVERS = {"dopri5": diffrax.Dopri5, "midpoint": diffrax.Midpoint, "rk38": RK38}


def by_diffrax(
    field: Callable[..., Any], params: Any, y0: Any, ts: Any, config: SolveConfig, context: Any = None
) -> tuple[Any, dict[str, Any]]:
    """(ys [n, ...] at ts [n], stats) of one solve; y0 may hold a batch or a row. Of two times only the end is saved."""
    adaptive = config.steps is None
    solver = _SOLVERS[config.solver]()
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: field(args[0], t, y, args[1])),
        solver,
        ts[0],
        ts[-1],
        None if adaptive else (ts[1] - ts[0]) / config.steps,
        y0,
        (params, context),
        saveat=diffrax.SaveAt(ts=ts) if len(ts) > 2 else diffrax.SaveAt(t1=True),
        stepsize_controller=(
            diffrax.PIDController(rtol=config.rtol, atol=config.atol)
            if adaptive
            else diffrax.ConstantStepSize()
        ),
    )
    steps = solution.stats["num_steps"]
    # An FSAL method evaluates one stage less a step, and one once; choosing the first step takes two more.
    fsal = int(solver.tableau.fsal)
    evaluations = steps * (len(solver.tableau.b_sol) - fsal) + fsal + 2 * adaptive
    accepted, rejected = solution.stats["num_accepted_steps"], solution.stats["num_rejected_steps"]
    return solution.ys, {"evaluations": evaluations, "accepted": accepted, "rejected": rejected}


def by_diffrax_rows(
    field: Callable[..., Any], params: Any, y0: Any, ts: Any, config: SolveConfig, context: Any = None
) -> tuple[Any, dict[str, Any]]:
    """(ys [b, n, ...], stats [b]) with steps of its own for each row."""
    return jax.vmap(lambda y, c: by_diffrax(field, params, y, ts, config, c))(y0, context)
