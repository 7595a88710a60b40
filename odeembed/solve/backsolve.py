"""The continuous adjoint: state and cotangent are solved together, backward in time, and nothing is stored.

    dy/dt = f(t, y)      da/dt = -(df/dy)^T a      dg/dt = -(df/dtheta)^T a

The gradient g of the parameters takes no part in the choice of steps (the seminorm), so that it need not be carried
row by row: each accepted step adds its quadrature, of all rows at once. Where all rows take a step or none does, it is
found on the way, one pass through the field giving da/dt and dg/dt; else once it is known which rows took it. Wherever
the path stops or is read, the state begins anew from the reading. The gradient is that of the continuous problem, and
as far from the discrete solution's as the tolerance allows; where the path is contracting, the way back is expanding.

References:
  Chen et al. 2018, algorithm 1 and appendix C; Kidger et al. 2021, "Hey, that's not an ODE", for the seminorm.
"""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from odeembed.solve.adaptive import Problem, Scheme, Step, Walk
from odeembed.solve.adjoint import (
    Readings,
    add,
    add_inputs,
    by_stop,
    differentiated,
    spare_state,
    start_bar,
    zeros,
)
from odeembed.solve.config import SolveConfig, Status
from odeembed.solve.march import march
from odeembed.solve.tableau import column, columns, moved, stages, tableau
from odeembed.solve.timeline import Timeline, timeline


def _augmented(field, structure):
    """The field of (y, a) for each part, without the parameters' gradient."""

    def f(params, t, pairs, context):
        y, a = _apart(structure, pairs)
        dy, pull = jax.vjp(lambda y: field(params, t, y, context), y)
        (da,) = pull(jax.tree.map(jnp.negative, a))
        return _together(structure, dy, da)

    return f


def _apart(structure, pairs):
    first, second = zip(*structure.flatten_up_to(pairs), strict=True)
    return structure.unflatten(first), structure.unflatten(second)


def _together(structure, y, a):
    return structure.unflatten(zip(structure.flatten_up_to(y), structure.flatten_up_to(a), strict=True))


def _places(structure, table, t, dt, pairs, ks):
    """Weight b_i, time, state and cotangent of each stage of a step; `ks` may be filled as they are asked for."""
    for node, row, weight in zip((0.0, *table.c), ((), *table.a), table.b, strict=False):
        at = jax.tree.map(lambda a, h, c=node: a + c * h, t, dt)
        yield weight, at, *_apart(structure, moved(dt, pairs, row, ks) if row else pairs)


def _slope(field, fixed, at):
    """The field at a time, as a function of theta and the state."""

    def slope(theta, y):
        params, context = eqx.combine(theta, fixed)
        return field(params, columns(at, y), y, context)

    return slope


def _quadrature(field, structure, table, theta, fixed, t, dt, pairs, ks):
    """What one step backward adds to the cotangent of theta: -sum_i dt b_i (df/dtheta)^T a_i, all rows together.

    Rows with dt = 0 add nothing, but the field is asked at their state.
    """
    total = zeros(theta)
    for weight, at, y, a in _places(structure, table, t, dt, pairs, ks):
        if weight:
            _, pull = jax.vjp(lambda theta, y=y, at=at: _slope(field, fixed, at)(theta, y), theta)
            total = add(total, pull(_times(jax.tree.map(lambda h, w=weight: -w * h, dt), a))[0])
    return total


def _stages(field, structure, table, theta, fixed, t, dt, pairs, count):
    """The stages of a step backward, and its quadrature as `_quadrature` has it, from one pass through the field each.

    The products are linear in the cotangent: it is given dt b_i times its size for those with theta, and what comes out
    for the state is brought back.
    """
    ks, total = [], zeros(theta)
    for weight, at, y, a in itertools.islice(_places(structure, table, t, dt, pairs, ks), count):
        dy, pull = jax.vjp(_slope(field, fixed, at), theta, y)
        if weight:
            size = jax.tree.map(lambda h, w=weight: w * h, dt)
            added, da = pull(_times(jax.tree.map(jnp.negative, size), a))
            total = add(total, added)
            da = _times(jax.tree.map(lambda h: 1 / jnp.where(h == 0, 1, h), size), da)
        else:
            da = pull(jax.tree.map(jnp.negative, a))[1]
        ks.append(_together(structure, dy, da))
    return ks, total


def _times(rows, states):
    """Each part of the states times its numbers [b]."""
    return jax.tree.map(lambda h, part: jax.tree.map(lambda x: column(h, x) * x, part), rows, states)


class _Back(Scheme):
    """A scheme of (y, a); with each step comes what it takes to find its quadrature."""

    def __init__(self, scheme: Scheme):
        field = _augmented(scheme.field, scheme.structure)
        super().__init__(field, None, scheme.config, scheme.structure, False)
        self.reuse = False  # a cotangent is added wherever the path is read
        self.there = scheme.field

    def advance(
        self, params: Any, context: Any, t: Any, dt: Any, start: Any, slope: Any, count: int
    ) -> tuple[Any, list[Any]]:
        """One step back; with `control="batch"` the last of what comes back is its quadrature."""
        if self.config.control == "row":
            return super().advance(params, context, t, dt, start, slope, count)
        t, dt = self.split(t), self.split(dt)
        theta, fixed = eqx.partition((params, context), eqx.is_inexact_array)
        ks, added = _stages(self.there, self.structure, self.table, theta, fixed, t, dt, start, count)
        return moved(dt, start, self.table.b, ks), [*ks, added]

    def curve(self, dt: Any, start: Any, ks: list[Any]) -> Any:
        """All that comes with a step."""
        return ks

    def added(self, theta: Any, fixed: Any, walk: Walk, rested: Any, step: Step, ks: list[Any]) -> Any:
        """The quadrature of a step from `walk`; rows that did not take it are asked at the states `rested`."""
        if self.config.control == "batch":
            return jax.tree.map(lambda x: jnp.where(jnp.any(step.dt != 0), x, 0), ks[-1])
        ks = [self.where(step.taken, k, zeros(k)) for k in ks]
        t, dt = self.split(step.t), self.split(step.dt)
        pairs = self.where(step.taken, walk.y, rested)
        return _quadrature(self.there, self.structure, self.table, theta, fixed, t, dt, pairs, ks)


def backsolve(scheme: Scheme, problem: Problem) -> Readings:
    """Solves, and is differentiated with respect to every floating-point array of the problem, times included.

    Rows that failed add nothing to a gradient. Where the way back does not arrive within as many steps as were admitted
    for the way there, and one for each reading, the gradient is NaN.
    """
    return differentiated(_forward, _backward, scheme, problem)


def _forward(scheme, problem):
    readings, _ = march(scheme, problem, record=False)
    lost = readings.status == Status.NONFINITE
    return readings, (readings.ys, readings.status, spare_state(scheme, problem, lost))


def _backward(
    scheme: Scheme, smooth: Problem, rest: Problem, record: Any, ys_bar: Any, timed: bool
) -> Problem:
    problem = eqx.combine(smooth, rest)
    ys, status, spare = record
    line = problem.line
    if scheme.dense:
        line = timeline(line.ts, jnp.zeros(line.ts.shape, bool))  # every reading is a stop on the way back
    last = jnp.where(status == Status.SUCCESS, line.last, 0)
    theta, fixed = eqx.partition((problem.params, problem.context), eqx.is_inexact_array)

    first = jnp.minimum(line.events + 1, line.ts.shape[-1] - 1)  # of the times at each stop
    kept = scheme.by_part(lambda i, y: y[jnp.arange(y.shape[0])[:, None], i], first, ys)
    states = _with_first(problem.y0, kept)
    bars_read = _with_first(zeros(problem.y0), by_stop(scheme, line, ys_bar))

    def at_stop(k, tree):
        return scheme.by_part(lambda i, x: x[jnp.arange(x.shape[0]), i], k, tree)

    def slope(t, y):
        return scheme.slopes(problem.params, problem.context, t, y)

    def land(k, a, landed, sums):
        """Passes stop k [p, b] backward: the cotangent before its jump, with that of what is read there."""
        theta_bar, inputs_bar, stops_bar = sums
        here = scheme.where(landed, at_stop(k, states), spare)
        t = jnp.take_along_axis(_all_stops(line), k[..., None], axis=-1)[..., 0]
        after = scheme.where(landed, a, zeros(a))
        move = -_along(scheme, after, here, t, slope) if timed and scheme.jump is None else 0.0
        if scheme.jump is not None:
            due = landed & (k < last) & jnp.take_along_axis(line.jumps, _leg(line, k), axis=-1)[..., 0]
            inputs, fixed_inputs = eqx.partition(scheme.inputs(problem, k), eqx.is_inexact_array)

            def jump(theta, t, y, inputs):
                params = eqx.combine(theta, fixed)[0]
                return scheme.jumped(params, t, y, due, eqx.combine(inputs, fixed_inputs))

            there, pull = jax.vjp(jump, theta, t, here, inputs)
            if timed:
                move = -_along(scheme, after, there, t, slope)
            by_theta, by_t, after, by_inputs = pull(after)
            theta_bar, move = add(theta_bar, by_theta), move + by_t
            inputs_bar = add_inputs(scheme, line, k, inputs_bar, by_inputs)
        before = add(after, scheme.where(landed, at_stop(k, bars_read), zeros(after)))
        if timed:
            move = jnp.where(
                landed, move + jnp.where(k > 0, _along(scheme, before, here, t, slope), 0.0), 0.0
            )
            p, b = k.shape
            stops_bar = stops_bar.at[jnp.arange(p)[:, None], jnp.arange(b), k].add(move)
        return here, before, (theta_bar, inputs_bar, stops_bar)

    sums = zeros(theta), zeros(smooth.inputs), jnp.zeros_like(_all_stops(line))
    y, a, sums = land(last, zeros(problem.y0), last > 0, sums)
    back = _Back(scheme)
    way_back = problem._replace(y0=_together(scheme.structure, y, a), line=_reversed(line, last), inputs=None)
    rested = _together(scheme.structure, spare, zeros(spare))

    def one(carry):
        walk, tried, sums = carry
        after, step, ks = back.attempt(way_back, walk)
        added = back.added(theta, fixed, walk, rested, step, ks)
        k = last - after.leg
        a = _apart(scheme.structure, after.y)[1]
        y, a, sums = land(k, a, step.landed, (add(sums[0], added), *sums[1:]))
        landed = _together(scheme.structure, y, a)
        return after._replace(y=back.where(step.landed, landed, after.y)), tried + 1, sums

    most = scheme.config.max_steps + line.stops.shape[-1]
    walk, _, sums = jax.lax.while_loop(
        lambda c: jnp.any(c[0].active) & (c[1] < most), one, (back.begin(way_back), jnp.int32(0), sums)
    )
    theta_bar, inputs_bar, stops_bar = sums
    arrived = walk.status == Status.SUCCESS
    # A gradient that was not found must not look as if it had been.
    y_bar = start_bar(scheme, problem, _apart(scheme.structure, walk.y)[1], ys_bar)
    y_bar = back.where(arrived, y_bar, jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), y_bar))
    theta_bar = jax.tree.map(lambda x: jnp.where(arrived.all(), x, jnp.nan), theta_bar)
    line_bar = zeros(smooth.line)._replace(start=stops_bar[..., 0])
    if scheme.dense:
        p, b, _ = first.shape
        ts_bar = line_bar.ts.at[jnp.arange(p)[:, None, None], jnp.arange(b)[:, None], first]
        line_bar = line_bar._replace(ts=ts_bar.add(stops_bar[..., 1:]))
    else:
        line_bar = line_bar._replace(stops=stops_bar[..., 1:])
    params_bar, context_bar = theta_bar
    return Problem(params_bar, context_bar, y_bar, line_bar, inputs_bar)


def _along(scheme, bar, y, t, slope):
    """bar . f(t, y) in each row, [p, b]."""
    return jnp.stack(_dot(scheme.structure, bar, slope(t, y)))


def _dot(structure, bar, dy):
    """The inner product of each row, [b] for each part."""
    parts = structure.flatten_up_to(jax.tree.map(jnp.multiply, bar, dy))
    return [sum(leaf.reshape(leaf.shape[0], -1).sum(1) for leaf in jax.tree.leaves(part)) for part in parts]


def _all_stops(line):
    return jnp.concatenate([line.start[..., None], line.stops], axis=-1)


def _leg(line, k):
    return jnp.minimum(k, line.stops.shape[-1] - 1)[..., None]


def _with_first(first, rest):
    return jax.tree.map(lambda a, b: jnp.concatenate([a[:, None], b], axis=1), first, rest)


def _reversed(line: Timeline, last: Any) -> Timeline:
    """The same stops from stop number `last` [p, b] back to the start."""
    stops = _all_stops(line)
    index = jnp.maximum(last[..., None] - jnp.arange(stops.shape[-1]), 0)
    stops = jnp.take_along_axis(stops, index, axis=-1)
    return line._replace(
        start=stops[..., 0], stops=stops[..., 1:], last=last, jumps=jnp.zeros_like(line.jumps)
    )


def backsolve_steps(
    field: Any, params: Any, t0: Any, t1: Any, y0: Any, config: SolveConfig, context: Any
) -> Any:
    """The state after `config.steps` equal steps from t0 to t1, and back again over the same grid for the gradient.

    Differentiable by params, times, state and context; by the times as Chen et al. 2018, appendix C, does it.
    """
    n, table = config.steps, tableau(config.solver)
    structure = jax.tree.structure(t0)
    smooth, rest = eqx.partition((params, context, t0, t1, y0), eqx.is_inexact_array)

    def part(t0, t1, i):
        dt = jax.tree.map(lambda a, b: (b - a) / n, t0, t1)
        return jax.tree.map(lambda a, h: a + i * h, t0, dt), dt

    def there(smooth, rest):
        params, context, t0, t1, y0 = eqx.combine(smooth, rest)

        def one(i, y):
            t, dt = part(t0, t1, i)
            return moved(dt, y, table.b, stages(field, params, context, t, dt, y, table, None, table.needed))

        return jax.lax.fori_loop(0, n, one, y0)

    @jax.custom_vjp
    def run(smooth, rest):
        return there(smooth, rest)

    def forward(smooth, rest):
        y1 = there(smooth, rest)
        return y1, (smooth, rest, y1)

    def backward(saved, bar):
        smooth, rest, y1 = saved
        params, context, t0, t1, _ = eqx.combine(smooth, rest)
        theta, fixed = smooth[:2], rest[:2]

        def one(i, carry):
            pairs, theta_bar = carry
            t, dt = part(t1, t0, i)
            ks, added = _stages(field, structure, table, theta, fixed, t, dt, pairs, table.needed)
            return moved(dt, pairs, table.b, ks), add(theta_bar, added)

        start = _together(structure, y1, bar), zeros(theta)
        pairs, theta_bar = jax.lax.fori_loop(0, n, one, start)
        y0, y0_bar = _apart(structure, pairs)

        def rate(a, t, y):
            return structure.unflatten(_dot(structure, a, field(params, columns(t, y), y, context)))

        t0_bar = jax.tree.map(jnp.negative, rate(y0_bar, t0, y0))
        params_bar, context_bar = theta_bar
        return (params_bar, context_bar, t0_bar, rate(bar, t1, y1), y0_bar), None

    run.defvjp(forward, backward)
    return run(smooth, rest)
