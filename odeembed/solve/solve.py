"""The door to every solve: one function, one signature, whatever stands behind it."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from odeembed.precision import held, products
from odeembed.solve.adaptive import Problem, Scheme
from odeembed.solve.backsolve import backsolve
from odeembed.solve.by_diffrax import solve_by_diffrax
from odeembed.solve.config import Solution, SolveConfig
from odeembed.solve.direct import direct
from odeembed.solve.grid import solve_on_grid
from odeembed.solve.penalty import along, at_start, judged, signs, with_integral, with_penalty
from odeembed.solve.replay import replay
from odeembed.solve.reversible import Coupled, reversible
from odeembed.solve.tableau import column
from odeembed.solve.timeline import timeline, wait_where_masked

_DEFAULT = SolveConfig()
_BY_ADJOINT = {
    "replay": (Scheme, replay),
    "reversible": (Coupled, reversible),
    "backsolve": (Scheme, backsolve),
    "direct": (Scheme, direct),
}
VectorField = Callable[[Any, Any, Any, Any], Any]


class Jumps(NamedTuple):
    """Discontinuities at the times of a solve: y <- function(params, t, y, inputs[:, k]) where `at[:, k]` is true.

    Attributes:
      function: pure, row by row like a field.
      inputs: pytree of [b, n, ...], what each jump is given.
      at: bool [b, n] (or a tree of them like `ts`), where a jump happens.
    """

    function: Callable[[Any, Any, Any, Any], Any]
    inputs: Any
    at: Any

    def by_interval(self) -> tuple[Any, Any]:
        """Inputs [n - 1, b, ...] and places [n - 1, b], time first, for a scan; the last time's jump is not needed."""
        first = jax.tree.map(lambda x: jnp.moveaxis(x[:, :-1], 1, 0), (self.inputs, self.at))
        return first[0], first[1]


def solve(
    field: VectorField | None,
    params: Any,
    y0: Any,
    ts: Any,
    config: SolveConfig = _DEFAULT,
    context: Any = None,
    *,
    mask: Any = None,
    jumps: Jumps | None = None,
    noise: Any = None,
) -> Solution:
    """Solves dy/dt = field(params, t, y, context), y(ts[:, 0]) = y0, and reads y at all ts.

    Rows are independent. Times may differ from row to row, stand at irregular distances, and fall as well as rise. A
    masked time is not visited: the row waits at its last real one (before the first, at y0), whose state stands there
    in `ys`. With `jumps`, the state in `ys` is the one just before the jump.

    Several solves can run side by side, a forward and a backward one for instance: y0 is then a tuple, and ts, mask,
    jumps.inputs and jumps.at are tuples of the same length; field and jump receive tuples of times and states.

    Args:
      field: pure function of (params, t, y, context); t has y's rank with ones, [b, 1]. None: y rests between times.
      params: pytree the field and the jumps are differentiated by.
      y0: pytree of [b, ...].
      ts: float [b, n] or [n].
      context: pytree handed to the field as it is, differentiable too; with adaptive steps and `control="row"` its
        leaves need a leading batch axis.
      mask: bool [b, n], true where a time is real; None: all are.
      jumps: what happens at the times.
      noise: pytree of [b, ...] like y0 for `config.penalty`: its signs are the noise of the Jacobian term, and entries
        where it is 0, such as padding, do not count in any term. None: all count, and the signs are always the same.

    Returns:
      `Solution`; look at `failed` before you use `ys`.

    References:
      Chen et al. 2018, eq. (3); Rubanova et al. 2019, algorithm 1, for flows with jumps.
    """
    batch = jax.tree.leaves(y0)[0].shape[0]
    ts = jax.tree.map(lambda t: jnp.broadcast_to(t, (batch, t.shape[-1])), ts)
    if mask is None:
        mask = jax.tree.map(lambda t: jnp.ones(t.shape, bool), ts)
    ts = jax.tree.map(wait_where_masked, ts, mask)
    if jumps is not None:
        jumps = jumps._replace(
            function=held(jumps.function), at=jax.tree.map(jnp.logical_and, jumps.at, mask)
        )
    if config.penalty is not None and field is not None:
        parts = jax.tree.structure(ts)
        noise = (
            signs(None, y0) if noise is None else jax.tree.map(lambda e: jnp.sign(e).astype(jnp.int8), noise)
        )
        found = solve(
            with_penalty(field, config.penalty, parts),
            params,
            at_start(y0, parts),
            ts,
            dataclasses.replace(config, penalty=None),
            (context, noise),
            jumps=None if jumps is None else jumps._replace(function=with_integral(jumps.function, parts)),
        )
        return found._replace(ys=judged(found.ys), penalty=along(found.ys, ts))
    if field is not None:
        # The field itself is wrapped: a gradient may trace it again when this call is long over.
        kind = config.products or ("float32" if config.steps is None else None)
        field = held(field) if kind is None else products(kind)(field)
    if config.steps is not None or field is None:
        return solve_on_grid(field, params, y0, ts, config, context, jumps)
    if config.adjoint == "recursive":
        return solve_by_diffrax(field, params, y0, ts, config, context, jumps)
    at = None if jumps is None else jnp.stack(jax.tree.leaves(jumps.at))
    line = timeline(jnp.stack(jax.tree.leaves(ts)), at)
    make, run = _BY_ADJOINT[config.adjoint]
    scheme = make(
        field,
        None if jumps is None else jumps.function,
        config,
        jax.tree.structure(ts),
        line.arrivals is None,
    )
    readings = run(scheme, Problem(params, context, y0, line, None if jumps is None else jumps.inputs))
    # What was not reached has no value, and must not look as if it had.
    ys = scheme.by_part(lambda at, y: jnp.where(column(at, y), y, jnp.nan), readings.reached, readings.ys)
    stats = {name: jnp.sum(count, axis=0) for name, count in readings.stats.items()}
    return Solution(ys, stats, jnp.max(readings.status, axis=0))
