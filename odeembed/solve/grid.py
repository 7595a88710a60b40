"""Explicit Runge-Kutta on a fixed grid: one scan over the intervals, the stages unrolled from the tableau."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from odeembed.solve.config import Solution, SolveConfig, Status

DIFFRAX_SOLVERS = {
    "midpoint": diffrax.Midpoint,
    "heun": diffrax.Heun,
    "ralston": diffrax.Ralston,
    "bosh3": diffrax.Bosh3,
    "tsit5": diffrax.Tsit5,
    "dopri5": diffrax.Dopri5,
    "dopri8": diffrax.Dopri8,
}
_THIRD = 1 / 3
# c, a, b as in Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.1, table 1.2.
_OWN_TABLEAUS = {
    "euler": ((), (), (1.0,)),
    "rk4": ((0.5, 0.5, 1.0), ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "rk38": (
        (_THIRD, 2 * _THIRD, 1.0),
        ((_THIRD,), (-_THIRD, 1.0), (1.0, -1.0, 1.0)),
        (1 / 8, 3 / 8, 3 / 8, 1 / 8),
    ),
}


def tableau(solver: str) -> tuple[tuple[float, ...], tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Butcher's nodes c (without the first, 0), matrix a by rows, and weights b of an explicit Runge-Kutta method.

    Last stages of weight 0, which serve an error estimate alone, are left out.
    """
    if solver in _OWN_TABLEAUS:
        return _OWN_TABLEAUS[solver]
    table = DIFFRAX_SOLVERS[solver].tableau
    stages = max(i for i, b in enumerate(table.b_sol) if b) + 1
    rows = tuple(tuple(float(x) for x in row) for row in table.a_lower[: stages - 1])
    return tuple(float(x) for x in table.c[: stages - 1]), rows, tuple(float(x) for x in table.b_sol[:stages])


def solve_on_grid(field, params, y0, ts, config: SolveConfig, context, jumps) -> Solution:
    """`solve` with `config.steps` equal steps an interval; rows at rest (masked times) take steps of length 0."""

    def interval(y, xs):
        t0, t1, jump_input, jumped = xs
        if jumps is not None:
            y = apply_jumps(jumps.function, params, t0, y, jump_input, jumped)
        if field is not None:
            y = _steps(field, params, t0, t1, y, config, context)
        return y, y

    if config.adjoint != "direct":
        # Recomputing an interval is no slower than storing it, and takes a fraction of the memory.
        interval = jax.checkpoint(interval, prevent_cse=False)
    t0 = jax.tree.map(lambda t: t[:, :-1].T, ts)
    t1 = jax.tree.map(lambda t: t[:, 1:].T, ts)
    inputs, at = (None, None) if jumps is None else jumps.by_interval()
    _, ys = jax.lax.scan(interval, y0, (t0, t1, inputs, at))
    ys = jax.tree.map(lambda first, rest: jnp.moveaxis(jnp.concatenate([first[None], rest]), 0, 1), y0, ys)
    return Solution(ys, _statistics(field, ts, config), nonfinite_rows(ys))


def apply_jumps(function, params, t, y, jump_input, jumped):
    """function(params, t, y, input) in the rows where `jumped` [b] is true, y in the others."""
    moved = function(params, columns(t, y), y, jump_input)
    return jax.tree.map(
        lambda at, new, old: jax.tree.map(lambda a, b: jnp.where(_column(at, a), a, b), new, old),
        jumped,
        moved,
        y,
    )


def columns(ts, y):
    """Each time [b] as [b, 1, ...], with the rank of the first leaf of its part of y."""
    return jax.tree.map(lambda t, part: _column(t, jax.tree.leaves(part)[0]), ts, y)


def _column(t, y):
    return t.reshape(t.shape + (1,) * (y.ndim - t.ndim))


def _steps(field, params, t0, t1, y, config, context):
    """config.steps steps of equal length from t0 to t1."""
    dt = jax.tree.map(lambda a, b: (b - a) / config.steps, t0, t1)

    def step(y, i):
        t = jax.tree.map(lambda a, h: a + i * h, t0, dt)
        return _runge_kutta(field, params, t, dt, y, tableau(config.solver), context), None

    if config.steps > 4:
        return jax.lax.scan(step, y, jnp.arange(config.steps))[0]
    for i in range(config.steps):
        y, _ = step(y, i)
    return y


def _runge_kutta(field, params, t, dt, y, table, context):
    """One step: k_i = f(t + c_i dt, y + dt sum_j a_ij k_j), y + dt sum_i b_i k_i."""
    nodes, matrix, weights = table
    stages = [field(params, columns(t, y), y, context)]
    for node, row in zip(nodes, matrix, strict=True):
        at = jax.tree.map(lambda a, h, c=node: a + c * h, t, dt)
        stages.append(field(params, columns(at, y), _combine(dt, y, row, stages), context))
    return _combine(dt, y, weights, stages)


def _combine(dt, y, weights, stages):
    """y + dt * sum_i weights_i stages_i, with dt [b] put before every leaf of its part of y."""
    used = [(weight, stage) for weight, stage in zip(weights, stages, strict=True) if weight]
    change = jax.tree.map(
        lambda *ks: sum(w * k for (w, _), k in zip(used, ks, strict=True)), *(stage for _, stage in used)
    )
    return jax.tree.map(
        lambda h, part, move: jax.tree.map(lambda a, k: a + _column(h, a) * k, part, move), dt, y, change
    )


def _statistics(field, ts, config: SolveConfig) -> dict[str, Any]:
    moves = [jnp.sum(t[:, 1:] != t[:, :-1], axis=1, dtype=jnp.int32) for t in jax.tree.leaves(ts)]
    accepted = sum(moves) * (0 if field is None or config.steps is None else config.steps)
    stages = len(tableau(config.solver)[2])
    return {"evaluations": accepted * stages, "accepted": accepted, "rejected": 0 * accepted}


def nonfinite_rows(ys) -> Any:
    """int32 [b]: NONFINITE for a row with a NaN or an infinity in any of its states, else SUCCESS."""
    finite = [jnp.all(jnp.isfinite(y), axis=tuple(range(1, y.ndim))) for y in jax.tree.leaves(ys)]
    return jnp.where(jnp.stack(finite).all(0), Status.SUCCESS, Status.NONFINITE).astype(jnp.int32)
