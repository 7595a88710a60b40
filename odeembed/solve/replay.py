"""Gradients by replay: the accepted steps are recorded, and each is taken again, backward in order, with one vjp.

The record of a step is its time, its length and the rows that took it. States are kept for all steps of one stretch of
`KEPT_STATES` and at the beginning of every other, from which theirs are computed again: O(sqrt(max_steps)) in all. The
gradient is that of the discrete solution with the step sizes held fixed, exact to rounding.

References:
  Zhuang et al. 2020, Adaptive Checkpoint Adjoint Method, algorithm 2.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from odeembed.errors import DerivativeError
from odeembed.solve.adaptive import Problem, Scheme, Step
from odeembed.solve.config import KEPT_STATES, SolveConfig, Status
from odeembed.solve.tableau import column
from odeembed.solve.timeline import Timeline


class Readings(NamedTuple):
    """What a solve gives: states, leaves [b, n, ...]; which were reached, [p, b, n]; status and counts, [p, b]."""

    ys: Any
    reached: Any
    status: Any
    stats: Any


class _Stretch(NamedTuple):
    """Recorded steps [c, p, b], states before each and after the last, [c + 1, b, ...], and curves, [c, b, ...]."""

    steps: Step
    ys: Any
    curves: Any


class _Record(NamedTuple):
    """All that the way back needs.

    Attributes:
      steps: [s, c, p, b] for s stretches.
      counts: int [s], the steps of each.
      starts: leaves [s, b, ...], the state before each stretch.
      last: the stretch that was recorded last, with its states.
      number: of that stretch.
      spare: a state at which the field is asked about rows that do nothing.
    """

    steps: Step
    counts: Any
    starts: Any
    last: _Stretch
    number: Any
    spare: Any


def replay(scheme: Scheme, problem: Problem) -> Readings:
    """Solves, and is differentiated with respect to every floating-point array of the problem, times included."""
    problem = jax.tree.map(jnp.asarray, problem)
    smooth, rest = eqx.partition(problem, eqx.is_inexact_array)

    @jax.custom_vjp
    def run(smooth, rest):
        return _forward(scheme, eqx.combine(smooth, rest))[0]

    def forward(smooth, rest):
        # The gradient by the times is asked for seldom, and is not free.
        timed = _Static(any(leaf.perturbed for leaf in jax.tree.leaves(smooth.line, is_leaf=_is_primal)))
        smooth, rest = jax.tree.map(lambda leaf: leaf.value, (smooth, rest), is_leaf=_is_primal)
        readings, record = _forward(scheme, eqx.combine(smooth, rest))
        return readings, (smooth, rest, record, timed)

    def backward(saved, bar):
        smooth, rest, record, timed = saved
        ys_bar = jax.tree.map(_instantiated, bar.ys, is_leaf=_is_zero)

        @jax.custom_jvp
        def once(smooth, rest, record, ys_bar):
            return _backward(scheme, smooth, rest, record, ys_bar, timed.value)

        once.defjvp(_refused)
        return once(smooth, rest, record, ys_bar), None

    run.defvjp(forward, backward, symbolic_zeros=True)
    return run(smooth, rest)


def _refused(primals, tangents):
    raise DerivativeError(
        "replay gives first derivatives in reverse mode alone. Set adjoint to direct for others."
    )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Static:
    value: bool


def _is_primal(leaf):
    return isinstance(leaf, jax.custom_derivatives.CustomVJPPrimal)


def _is_zero(leaf):
    return isinstance(leaf, jax.custom_derivatives.SymbolicZero)


def _instantiated(leaf):
    return jnp.zeros(leaf.shape, leaf.dtype) if _is_zero(leaf) else leaf


def at_start(scheme: Scheme, problem: Problem) -> tuple[Any, Any]:
    """Readings that need no step, those at the start: y0 at every time, and [p, b, n], where that is the reading."""
    line = problem.line
    here = line.ts == line.start[..., None] if line.arrivals is None else line.arrivals == 0
    n = here.shape[-1]
    return jax.tree.map(
        lambda y: jnp.broadcast_to(y[:, None], (y.shape[0], n, *y.shape[1:])), problem.y0
    ), here


def _lengths(config: SolveConfig) -> tuple[int, int]:
    """How many stretches there are, and how many steps one has."""
    length = min(config.max_steps, max(KEPT_STATES, math.isqrt(config.max_steps - 1) + 1))
    return -(-config.max_steps // length), length


def _forward(scheme: Scheme, problem: Problem):
    number, length = _lengths(scheme.config)
    walk = scheme.begin(problem)
    _, step, curves = jax.eval_shape(scheme.attempt, problem, walk)
    ys, reached = at_start(scheme, problem)
    y0 = problem.y0
    empty = _Stretch(_zeros(step, length), _zeros(y0, length + 1), _zeros(curves, length))
    record = _Record(
        _zeros(step, number, length),
        jnp.zeros(number, jnp.int32),
        _zeros(y0, number),
        empty,
        jnp.int32(-1),
        y0,
    )

    def one(carry):
        walk, tried, count, stretch = carry
        after, step, curves = scheme.attempt(problem, walk)
        stretch = _Stretch(
            _set(stretch.steps, count, step),
            _set(stretch.ys, count + 1, after.y),
            _set(stretch.curves, count, curves),
        )
        # A try that no row took is forgotten: the next one is written over it.
        return after, tried + 1, count + jnp.any(step.taken), stretch

    def stretch(carry):
        walk, tried, ys, reached, record = carry
        place = record.number + 1
        starts = _set(record.starts, place, walk.y)
        walk, tried, count, last = jax.lax.while_loop(
            lambda c: jnp.any(c[0].active) & (c[1] < scheme.config.max_steps) & (c[2] < length),
            one,
            (walk, tried, jnp.int32(0), record.last._replace(ys=_set(record.last.ys, 0, walk.y))),
        )
        index, passed = scheme.index(problem.line, count, last.steps)
        passed = passed & ~reached
        ys = scheme.where(passed, scheme.read(problem.line, index, *last), ys)
        record = record._replace(
            steps=_set(record.steps, place, last.steps),
            counts=record.counts.at[place].set(count),
            starts=starts,
            last=last,
            number=place,
        )
        return walk, tried, ys, reached | passed, record

    walk, _, ys, reached, record = jax.lax.while_loop(
        lambda c: jnp.any(c[0].active) & (c[1] < scheme.config.max_steps),
        stretch,
        (walk, jnp.int32(0), ys, reached, record),
    )
    # Where the field has no value the initial state is no place to ask it either, but that of a sound row may be.
    lost = walk.status == Status.NONFINITE
    sound = scheme.by_part(lambda lost, y: jnp.broadcast_to(y[jnp.argmin(lost)], y.shape), lost, y0)
    record = record._replace(spare=scheme.where(lost, jax.tree.map(jnp.nan_to_num, sound), y0))
    stats = {"evaluations": walk.evaluations, "accepted": walk.accepted, "rejected": walk.rejected}
    return Readings(ys, reached, walk.status, stats), record


class _Bars(NamedTuple):
    """Cotangents on the way back: of the state, slope and time that are at hand, and of the arrays of the problem."""

    y: Any
    slope: Any
    t: Any
    theta: Any
    inputs: Any
    stops: Any
    ts: Any


def _backward(
    scheme: Scheme, smooth: Problem, rest: Problem, record: _Record, ys_bar: Any, timed: bool
) -> Problem:
    problem = eqx.combine(smooth, rest)
    line = problem.line
    carried = scheme.reuse and scheme.dense  # the slope goes from step to step, as it did on the way there
    theta, fixed = eqx.partition((problem.params, problem.context), eqx.is_inexact_array)
    here = at_start(scheme, problem)[1]
    at_stops = None if scheme.dense else _by_stop(scheme, line, ys_bar)

    def slopes(theta, t, y):
        params, context = eqx.combine(theta, fixed)
        return scheme.slopes(params, context, t, y)

    def states_of(number, count, stretch):
        """The states of a stretch from the one it begins with; `stretch` as it is where count is 0."""
        steps = _get(record.steps, number)
        y = _get(record.starts, number)
        slope = (
            slopes(theta, steps.t[0], scheme.where(steps.taken.any(0), y, record.spare)) if carried else None
        )

        def one(i, carry):
            y, slope, ys, kept = carry
            step = _get(steps, i)
            inputs = scheme.inputs(problem, step.leg)
            kept = _set(kept, i, slope)
            y, slope, _ = scheme.again(problem.params, problem.context, y, slope, step, inputs, record.spare)
            return y, slope, _set(ys, i + 1, y), kept

        kept = stretch.curves[0] if carried else None
        first = jax.tree.map(lambda x, y: x.at[0].set(jnp.where(count > 0, y, x[0])), stretch.ys, y)
        _, _, ys, kept = jax.lax.fori_loop(0, count, one, (y, slope, first, kept))
        return _Stretch(steps, ys, (kept, None) if carried else None)

    def back(number, stretch, bars):
        count, steps = record.counts[number], _get(record.steps, number)
        index, passed = scheme.index(line, count, steps)
        index = jnp.where(passed & ~here, index, -1)

        def step_back(j, bars):
            i = count - 1 - j
            step = _get(steps, i)
            inputs, fixed_inputs = eqx.partition(scheme.inputs(problem, step.leg), eqx.is_inexact_array)

            def again(theta, y, slope, inputs, t, dt, ts):
                at, (params, context) = step._replace(t=t, dt=dt), eqx.combine(theta, fixed)
                inputs = eqx.combine(inputs, fixed_inputs)
                y_after, slope, curves = scheme.again(params, context, y, slope, at, inputs, record.spare)
                return y_after, slope, scheme.within(ts, at, y, curves) if scheme.dense else None

            args = (theta, _get(stretch.ys, i), _get(stretch.curves[0], i) if carried else None, inputs)
            times = (step.t, step.dt, line.ts)
            if timed:
                _, pull = jax.vjp(again, *args, *times)
            else:
                _, pull = jax.vjp(functools.partial(again, t=step.t, dt=step.dt, ts=line.ts), *args)
            if scheme.dense:
                y_bar, read = bars.y, scheme.where(index == i, ys_bar, _zeros(ys_bar))
            else:
                leg = jnp.minimum(step.leg, line.stops.shape[-1] - 1)
                landing = scheme.by_part(lambda leg, v: v[jnp.arange(v.shape[0]), leg], leg, at_stops)
                y_bar, read = _add(bars.y, scheme.where(step.landed, landing, _zeros(landing))), None
            by_theta, y_bar, slope_bar, by_inputs, *by_times = pull((y_bar, bars.slope, read))
            bars = bars._replace(y=y_bar, slope=slope_bar, theta=_add(bars.theta, by_theta))
            if inputs is not None:
                bars = bars._replace(
                    inputs=scheme.by_part(_add_at, _event(line, step.leg), bars.inputs, by_inputs)
                )
            if timed:
                bars = _timed(bars, step, *by_times)
            return bars

        bars = jax.lax.fori_loop(0, count, step_back, bars)
        if carried:
            rows = steps.taken.any(0)
            y = scheme.where(rows, _get(stretch.ys, 0), record.spare)
            _, pull = jax.vjp(slopes, theta, steps.t[0], y)
            by_theta, by_t, by_y = pull(bars.slope)
            y_bar = _add(bars.y, scheme.where(rows, by_y, _zeros(by_y)))
            bars = bars._replace(
                y=y_bar, slope=_zeros(bars.slope), theta=_add(bars.theta, by_theta), t=bars.t + by_t
            )
        return bars

    def body(carry):
        number, stretch, bars = carry
        bars = back(number, stretch, bars)
        before = jnp.maximum(number - 1, 0)
        return number - 1, states_of(before, jnp.where(number > 0, record.counts[before], 0), stretch), bars

    bars = _Bars(
        y=_zeros(problem.y0),
        slope=_zeros(problem.y0) if carried else None,
        t=_zeros(line.start),
        theta=_zeros(theta),
        inputs=_zeros(smooth.inputs),
        stops=_zeros(line.stops),
        ts=_zeros(line.ts),
    )
    last = _Stretch(record.last.steps, record.last.ys, (record.last.curves[0], None) if carried else None)
    if record.counts.shape[0] == 1:
        bars = jax.lax.cond(record.number >= 0, lambda: back(0, last, bars), lambda: bars)
    else:
        bars = jax.lax.while_loop(lambda c: c[0] >= 0, body, (record.number, last, bars))[2]
    y_bar = scheme.by_part(
        lambda at, total, read: total + jnp.sum(jnp.where(column(at, read), read, 0), axis=1),
        here,
        bars.y,
        ys_bar,
    )
    line_bar = _zeros(smooth.line)._replace(start=bars.t, stops=bars.stops, ts=bars.ts)
    params_bar, context_bar = bars.theta
    return Problem(params_bar, context_bar, y_bar, line_bar, bars.inputs)


def _timed(bars: _Bars, step: Step, by_t, by_dt, by_ts) -> _Bars:
    """A step ends at t + dt, which is the next one's t, or at a stop; there dt itself is the stop less t."""
    leg = jnp.minimum(step.leg, bars.stops.shape[-1] - 1)
    p, b = leg.shape
    at_stop = jnp.where(step.landed, bars.t + by_dt, 0.0)
    return bars._replace(
        t=by_t + jnp.where(step.landed, -by_dt, bars.t),
        stops=bars.stops.at[jnp.arange(p)[:, None], jnp.arange(b), leg].add(at_stop),
        ts=bars.ts + by_ts,
    )


def _by_stop(scheme: Scheme, line: Timeline, ys_bar: Any) -> Any:
    """The cotangent of the state at each stop, [b, m, ...]: the sum over the times that are read there."""

    def part(arrivals, events, bar):
        def one(after, xs):
            bar, same = xs
            total = bar + jnp.where(column(same, bar), after, 0)
            return total, total

        same = jnp.pad(arrivals[:, 1:] == arrivals[:, :-1], ((0, 0), (0, 1)))
        xs = (jnp.moveaxis(bar, 1, 0), same.T)
        _, totals = jax.lax.scan(one, jnp.zeros_like(bar[:, 0]), xs, reverse=True)
        # The first of the times of a stop follows the last one of the stop before.
        first = jnp.minimum(events + 1, bar.shape[1] - 1)
        return jnp.moveaxis(totals, 0, 1)[jnp.arange(bar.shape[0])[:, None], first]

    return jax.tree.map(
        lambda arrivals, events, bars: jax.tree.map(lambda bar: part(arrivals, events, bar), bars),
        scheme.split(line.arrivals),
        scheme.split(line.events),
        ys_bar,
    )


def _event(line, leg):
    return jnp.take_along_axis(line.events, jnp.minimum(leg, line.events.shape[-1] - 1)[..., None], axis=-1)[
        ..., 0
    ]


def _zeros(tree, *lead):
    return jax.tree.map(lambda x: jnp.zeros((*lead, *x.shape), x.dtype), tree)


def _set(tree, i, new):
    return jax.tree.map(
        lambda x, v: jax.lax.dynamic_update_index_in_dim(x, v.astype(x.dtype), i, 0), tree, new
    )


def _get(tree, i):
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False), tree)


def _add(first, second):
    return jax.tree.map(jnp.add, first, second)


def _add_at(event, total, new):
    """total[b, event[b]] + new[b]."""
    return total.at[jnp.arange(new.shape[0]), event].add(new)
