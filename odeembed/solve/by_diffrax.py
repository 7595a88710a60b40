"""Adaptive solves by diffrax's own loop, for its own gradient by recursive checkpoints."""

import diffrax
import jax
import jax.numpy as jnp

from odeembed.solve.config import Solution, SolveConfig, Status
from odeembed.solve.grid import apply_jumps, nonfinite_rows
from odeembed.solve.penalty import judged
from odeembed.solve.tableau import DIFFRAX_SOLVERS, columns

_RMS_NORM = diffrax.PIDController(rtol=1.0, atol=1.0).norm  # the one it takes by default


def solve_by_diffrax(field, params, y0, ts, config: SolveConfig, context, jumps) -> Solution:
    """`solve` with steps chosen by a PI controller.

    A single path without jumps is one solve with dense output at its times. All else is one solve an interval, with
    the time inside it scaled to [0, 1], so that rows with times of their own can share a step (`control="batch"`) and
    rows at rest take one step.
    """
    if jumps is None and config.control == "row" and isinstance(ts, jax.Array):
        return _path_by_path(field, params, y0, ts, config, context)
    return _interval_by_interval(field, params, y0, ts, config, context, jumps)


def _path_by_path(field, params, y0, ts, config, context):
    def one(y0, ts, context):
        def derivative(t, y, args):
            return _on_one_row(field, args[0], t, y, args[1])

        solution = _diffeqsolve(
            derivative, ts[0], ts[-1], y0, (params, context), config, diffrax.SaveAt(ts=ts)
        )
        return solution.ys, _counts(solution, config), _status(solution.result)

    ys, stats, status = jax.vmap(one)(y0, ts, context)
    return Solution(ys, stats, _worst(status, nonfinite_rows(ys)))


def _interval_by_interval(field, params, y0, ts, config, context, jumps):
    def derivative(s, y, args):
        params, t0, t1, context = args
        t = jax.tree.map(lambda a, b: a + s * (b - a), t0, t1)
        dy = field(params, columns(t, y), y, context)
        return jax.tree.map(
            lambda a, b, part: jax.tree.map(lambda k: (b - a).reshape((-1,) + (1,) * (k.ndim - 1)) * k, part),
            t0,
            t1,
            dy,
        )

    def whole_batch(y, t0, t1):
        solution = _diffeqsolve(
            derivative, 0.0, 1.0, y, (params, t0, t1, context), config, diffrax.SaveAt(t1=True)
        )
        rows = jax.tree.leaves(t0)[0].shape[:1]
        spread = jax.tree.map(
            lambda x: jnp.broadcast_to(x, rows), (_counts(solution, config), _status(solution.result))
        )
        return _first(solution.ys), *spread

    def row(y, t0, t1, context):
        def one_row(s, y, args):
            lifted = jax.tree.map(lambda x: x[None], (y, *args[1:]))
            dy = derivative(s, lifted[0], (args[0], *lifted[1:]))
            return jax.tree.map(lambda x: x[0], dy)

        solution = _diffeqsolve(
            one_row, 0.0, 1.0, y, (params, t0, t1, context), config, diffrax.SaveAt(t1=True)
        )
        return _first(solution.ys), _counts(solution, config), _status(solution.result)

    def interval(y, xs):
        t0, t1, jump_input, jumped = xs
        if jumps is not None:
            y = apply_jumps(jumps.function, params, t0, y, jump_input, jumped)
        if config.control == "batch":
            y, stats, status = whole_batch(y, t0, t1)
        else:
            y, stats, status = jax.vmap(row)(y, t0, t1, context)
        return y, (y, stats, status)

    t0 = jax.tree.map(lambda t: t[:, :-1].T, ts)
    t1 = jax.tree.map(lambda t: t[:, 1:].T, ts)
    inputs, at = (None, None) if jumps is None else jumps.by_interval()
    _, (ys, stats, status) = jax.lax.scan(interval, y0, (t0, t1, inputs, at))
    ys = jax.tree.map(lambda first, rest: jnp.moveaxis(jnp.concatenate([first[None], rest]), 0, 1), y0, ys)
    stats = {name: jnp.sum(count, axis=0) for name, count in stats.items()}
    return Solution(ys, stats, _worst(jnp.max(status, axis=0), nonfinite_rows(ys)))


def _diffeqsolve(derivative, t0, t1, y0, args, config, saveat):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(derivative),
        DIFFRAX_SOLVERS[config.solver](),
        t0,
        t1,
        None,
        y0,
        args,
        saveat=saveat,
        stepsize_controller=diffrax.PIDController(rtol=config.rtol, atol=config.atol, norm=_norm),
        adjoint=diffrax.RecursiveCheckpointAdjoint(),
        max_steps=config.max_steps,
        throw=False,  # A status is data here; throw=True puts a host callback into the program.
    )


def _on_one_row(field, params, t, y, context):
    y, context = jax.tree.map(lambda x: x[None], (y, context))
    dy = field(params, columns(t[None], y), y, context)
    return jax.tree.map(lambda x: x[0], dy)


def _norm(states):
    return _RMS_NORM(judged(states))


def _first(ys):
    return jax.tree.map(lambda y: y[0], ys)


def _counts(solution, config):
    accepted, rejected = solution.stats["num_accepted_steps"], solution.stats["num_rejected_steps"]
    table = DIFFRAX_SOLVERS[config.solver].tableau
    # A method whose first stage is the last one of the step before (FSAL) evaluates one stage less, and one once.
    stages = len(table.b_sol) - (1 if table.fsal else 0)
    once = 1 if table.fsal else 0
    return {"evaluations": (accepted + rejected) * stages + once, "accepted": accepted, "rejected": rejected}


def _status(result):
    return jnp.where(
        result == diffrax.RESULTS.successful,
        Status.SUCCESS,
        jnp.where(result == diffrax.RESULTS.max_steps_reached, Status.MAX_STEPS, Status.OTHER),
    ).astype(jnp.int32)


def _worst(reported, nonfinite):
    """What the solver reported, or else NONFINITE: an unfinished row is filled with inf, which is not its cause."""
    return jnp.where(reported != Status.SUCCESS, reported, nonfinite)
