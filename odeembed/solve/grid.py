"""Explicit Runge-Kutta on a fixed grid: one scan over the intervals, the stages unrolled from the tableau."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from odeembed.solve.backsolve import backsolve_steps
from odeembed.solve.config import KEPT_STATES, Solution, SolveConfig, Status
from odeembed.solve.penalty import judged
from odeembed.solve.reversible import reversible_steps
from odeembed.solve.tableau import column, columns, moved, stages, tableau

_UNROLLED = 4  # steps an interval; more are a loop


def solve_on_grid(field, params, y0, ts, config: SolveConfig, context, jumps) -> Solution:
    """`solve` with `config.steps` equal steps an interval; rows at rest (masked times) take steps of length 0."""

    def interval(y, xs):
        t0, t1, jump_input, jumped = xs
        if jumps is not None:
            y = apply_jumps(jumps.function, params, t0, y, jump_input, jumped)
        if field is not None:
            y = steps(field, params, t0, t1, y, config, context)
        return y, y

    steps = _BACK.get(config.adjoint, _steps)
    intervals = jax.tree.leaves(ts)[0].shape[1] - 1
    states = intervals * config.steps if config.steps and config.steps > _UNROLLED else None
    if config.adjoint in ("replay", "recursive") and not (
        states and (intervals == 1 or states <= KEPT_STATES)
    ):
        # Recomputing an interval is no slower than storing it, and takes a fraction of the memory. Where its steps are
        # recomputed one by one, and their states are few or all of this interval, that would be once too often.
        interval = jax.checkpoint(interval, prevent_cse=False)
    t0 = jax.tree.map(lambda t: t[:, :-1].T, ts)
    t1 = jax.tree.map(lambda t: t[:, 1:].T, ts)
    inputs, at = (None, None) if jumps is None else jumps.by_interval()
    _, ys = jax.lax.scan(interval, y0, (t0, t1, inputs, at))
    ys = jax.tree.map(lambda first, rest: jnp.moveaxis(jnp.concatenate([first[None], rest]), 0, 1), y0, ys)
    return Solution(ys, _statistics(field, ts, config), nonfinite_rows(ys))


def apply_jumps(function, params, t, y, jump_input, jumped):
    """function(params, t, y, input) in the rows where `jumped` [b] is true, y in the others."""
    after = function(params, columns(t, y), y, jump_input)
    return jax.tree.map(
        lambda at, new, old: jax.tree.map(lambda a, b: jnp.where(column(at, a), a, b), new, old),
        jumped,
        after,
        y,
    )


_BACK = {"reversible": reversible_steps, "backsolve": backsolve_steps}


def _steps(field, params, t0, t1, y, config, context):
    """config.steps steps of equal length from t0 to t1."""
    n, table = config.steps, tableau(config.solver)
    dt = jax.tree.map(lambda a, b: (b - a) / n, t0, t1)

    def step(y, i):
        t = jax.tree.map(lambda a, h: a + i * h, t0, dt)
        ks = stages(field, params, context, t, dt, y, table, None, table.needed)
        return moved(dt, y, table.b, ks), None

    if n <= _UNROLLED:
        for i in range(n):
            y, _ = step(y, i)
        return y
    if config.adjoint == "direct":
        return jax.lax.scan(step, y, jnp.arange(n))[0]
    step = jax.checkpoint(step, prevent_cse=False)
    if n <= KEPT_STATES:
        return jax.lax.scan(step, y, jnp.arange(n))[0]
    # States are kept at the ends of stretches, and those within one stretch at a time: O(sqrt(n)).
    length = math.isqrt(n - 1) + 1

    @jax.checkpoint
    def stretch(y, start):
        return jax.lax.scan(step, y, start + jnp.arange(length))[0], None

    y, _ = jax.lax.scan(stretch, y, length * jnp.arange(n // length))
    return jax.lax.scan(step, y, jnp.arange(n - n % length, n))[0] if n % length else y


def _statistics(field, ts, config: SolveConfig) -> dict[str, Any]:
    moves = [jnp.sum(t[:, 1:] != t[:, :-1], axis=1, dtype=jnp.int32) for t in jax.tree.leaves(ts)]
    accepted = sum(moves) * (0 if field is None or config.steps is None else config.steps)
    copies = 2 if config.adjoint == "reversible" else 1
    return {
        "evaluations": accepted * tableau(config.solver).needed * copies,
        "accepted": accepted,
        "rejected": 0 * accepted,
    }


def nonfinite_rows(ys) -> Any:
    """int32 [b]: NONFINITE for a row with a NaN or an infinity in any of its states, else SUCCESS."""
    finite = [jnp.all(jnp.isfinite(y), axis=tuple(range(1, y.ndim))) for y in jax.tree.leaves(judged(ys))]
    return jnp.where(jnp.stack(finite).all(0), Status.SUCCESS, Status.NONFINITE).astype(jnp.int32)
