"""A solve that keeps nothing of its way: states are read as the steps pass them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from odeembed.solve.adaptive import Problem, Scheme, Step
from odeembed.solve.adjoint import Readings, at_start, put, zeros


class March(NamedTuple):
    """Where a solve came by.

    Attributes:
      carried: what the walk carried at its end.
      at_stops: what it carried at each stop, leaves [b, m, ...]; None where states are read between stops.
      steps: the accepted steps, arrays [max_steps, p, b]; None where they were not recorded.
      count: how many of these are real.
    """

    carried: Any
    at_stops: Any
    steps: Step | None
    count: Any


def march(scheme: Scheme, problem: Problem, *, record: bool) -> tuple[Readings, March]:
    """Solves with the memory of one state beside those that are read, and with `record` of one number a step."""
    line, most = problem.line, scheme.config.max_steps
    walk = scheme.begin(problem)
    step = jax.eval_shape(scheme.attempt, problem, walk)[1]
    ys, reached = at_start(scheme, problem)
    m = line.stops.shape[-1]
    at_stops = None
    if not scheme.dense:
        at_stops = jax.tree.map(lambda y: jnp.broadcast_to(y[:, None], (y.shape[0], m, *y.shape[1:])), walk.y)
    steps = zeros(step, most) if record else None

    def one(carry):
        walk, tried, count, ys, reached, at_stops, steps = carry
        after, step, curves = scheme.attempt(problem, walk)
        if scheme.dense:
            way = jnp.sign(line.stops - line.start[..., None])
            end = jnp.where(step.landed, line.stops[..., 0], step.t + step.dt)[..., None]
            passed = step.taken[..., None] & ~reached & (way * line.ts <= way * end)
            states = scheme.within(line.ts, step, scheme.state(walk.y), curves)
            ys, reached = scheme.where(passed, states, ys), reached | passed
        else:
            place = jnp.where(step.landed, step.leg, m)  # m is no stop: nothing is written there
            at_stops = scheme.by_part(
                lambda i, kept, y: kept.at[jnp.arange(y.shape[0]), i].set(y, mode="drop"),
                place,
                at_stops,
                after.y,
            )
        if record:
            # A try that no row took is forgotten: the next one is written over it.
            steps = put(steps, count, step)
        return after, tried + 1, count + jnp.any(step.taken), ys, reached, at_stops, steps

    walk, _, count, ys, reached, at_stops, steps = jax.lax.while_loop(
        lambda c: jnp.any(c[0].active) & (c[1] < most),
        one,
        (walk, jnp.int32(0), jnp.int32(0), ys, reached, at_stops, steps),
    )
    if not scheme.dense:
        passed = ~reached & (line.arrivals <= walk.leg[..., None])
        states = scheme.by_part(
            lambda i, y: jnp.take_along_axis(y, i.reshape(i.shape + (1,) * (y.ndim - 2)), axis=1),
            jnp.maximum(line.arrivals - 1, 0),
            scheme.state(at_stops),
        )
        ys, reached = scheme.where(passed, states, ys), reached | passed
    stats = {"evaluations": walk.evaluations, "accepted": walk.accepted, "rejected": walk.rejected}
    return Readings(ys, reached, walk.status, stats), March(walk.y, at_stops, steps, count)
