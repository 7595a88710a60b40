"""Gradients by replay: the accepted steps are recorded, and each is taken again, backward in order, with one vjp.

The record of a step is its time, its length and the rows that took it. States are kept for all steps of one stretch of
`KEPT_STATES` and at the beginning of every other, from which theirs are computed again: O(sqrt(max_steps)) in all. The
gradient is that of the discrete solution with the step sizes held fixed, exact to rounding.

References:
  Zhuang et al. 2020, Adaptive Checkpoint Adjoint Method, algorithm 2.
"""

import functools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from odeembed.solve.adaptive import Problem, Scheme, Step
from odeembed.solve.adjoint import (
    Bars,
    Readings,
    add,
    add_inputs,
    add_times,
    at_start,
    by_stop,
    differentiated,
    get,
    put,
    rows_of_stop,
    spare_state,
    start_bar,
    zeros,
)
from odeembed.solve.config import KEPT_STATES, SolveConfig, Status


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
    return differentiated(_forward, _backward, scheme, problem)


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
    empty = _Stretch(zeros(step, length), zeros(y0, length + 1), zeros(curves, length))
    record = _Record(
        zeros(step, number, length),
        jnp.zeros(number, jnp.int32),
        zeros(y0, number),
        empty,
        jnp.int32(-1),
        y0,
    )

    def one(carry):
        walk, tried, count, stretch = carry
        after, step, curves = scheme.attempt(problem, walk)
        stretch = _Stretch(
            put(stretch.steps, count, step),
            put(stretch.ys, count + 1, after.y),
            put(stretch.curves, count, curves),
        )
        # A try that no row took is forgotten: the next one is written over it.
        return after, tried + 1, count + jnp.any(step.taken), stretch

    def stretch(carry):
        walk, tried, ys, reached, record = carry
        place = record.number + 1
        starts = put(record.starts, place, walk.y)
        walk, tried, count, last = jax.lax.while_loop(
            lambda c: jnp.any(c[0].active) & (c[1] < scheme.config.max_steps) & (c[2] < length),
            one,
            (walk, tried, jnp.int32(0), record.last._replace(ys=put(record.last.ys, 0, walk.y))),
        )
        index, passed = scheme.index(problem.line, count, last.steps)
        passed = passed & ~reached
        ys = scheme.where(passed, scheme.read(problem.line, index, *last), ys)
        record = record._replace(
            steps=put(record.steps, place, last.steps),
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
    spare = spare_state(scheme, problem, walk.status == Status.NONFINITE)
    record = record._replace(spare=spare)
    stats = {"evaluations": walk.evaluations, "accepted": walk.accepted, "rejected": walk.rejected}
    return Readings(ys, reached, walk.status, stats), record


def _backward(
    scheme: Scheme, smooth: Problem, rest: Problem, record: _Record, ys_bar: Any, timed: bool
) -> Problem:
    problem = eqx.combine(smooth, rest)
    line = problem.line
    carried = scheme.reuse and scheme.dense  # the slope goes from step to step, as it did on the way there
    theta, fixed = eqx.partition((problem.params, problem.context), eqx.is_inexact_array)
    here = at_start(scheme, problem)[1]
    at_stops = None if scheme.dense else by_stop(scheme, line, ys_bar)

    def slopes(theta, t, y):
        params, context = eqx.combine(theta, fixed)
        return scheme.slopes(params, context, t, y)

    def states_of(number, count, stretch):
        """The states of a stretch from the one it begins with; `stretch` as it is where count is 0."""
        steps = get(record.steps, number)
        y = get(record.starts, number)
        slope = (
            slopes(theta, steps.t[0], scheme.where(steps.taken.any(0), y, record.spare)) if carried else None
        )

        def one(i, carry):
            y, slope, ys, kept = carry
            step = get(steps, i)
            inputs = scheme.inputs(problem, step.leg)
            kept = put(kept, i, slope)
            y, slope, _ = scheme.again(problem.params, problem.context, y, slope, step, inputs, record.spare)
            return y, slope, put(ys, i + 1, y), kept

        kept = stretch.curves[0] if carried else None
        first = jax.tree.map(lambda x, y: x.at[0].set(jnp.where(count > 0, y, x[0])), stretch.ys, y)
        _, _, ys, kept = jax.lax.fori_loop(0, count, one, (y, slope, first, kept))
        return _Stretch(steps, ys, (kept, None) if carried else None)

    def back(number, stretch, bars):
        count, steps = record.counts[number], get(record.steps, number)
        index, passed = scheme.index(line, count, steps)
        index = jnp.where(passed & ~here, index, -1)
        read_bar = scheme.where(index >= 0, ys_bar, zeros(ys_bar)) if scheme.dense else None

        def step_back(j, bars):
            i = count - 1 - j
            step = get(steps, i)
            inputs, fixed_inputs = eqx.partition(scheme.inputs(problem, step.leg), eqx.is_inexact_array)

            def again(theta, y, slope, inputs, t, dt, ts):
                at, (params, context) = step._replace(t=t, dt=dt), eqx.combine(theta, fixed)
                inputs = eqx.combine(inputs, fixed_inputs)
                y_after, slope, curves = scheme.again(params, context, y, slope, at, inputs, record.spare)
                return y_after, slope, scheme.within(ts, at, y, curves) if scheme.dense and timed else curves

            args = (theta, get(stretch.ys, i), get(stretch.curves[0], i) if carried else None, inputs)
            times = (step.t, step.dt, line.ts)
            if timed:
                _, pull = jax.vjp(again, *args, *times)
            else:
                _, pull = jax.vjp(functools.partial(again, t=step.t, dt=step.dt, ts=line.ts), *args)
            if scheme.dense and timed:
                y_bar, read, by_reading = bars.y, scheme.where(index == i, read_bar, zeros(read_bar)), None
            elif scheme.dense:
                # Readings are linear in the curve: their cotangents are summed first, and it is differentiated once.
                by_reading, *read = scheme.within_bar(line.ts, step, index == i, read_bar)
                y_bar, read = bars.y, tuple(read)
            else:
                landing = rows_of_stop(scheme, step.leg, at_stops)
                y_bar = add(bars.y, scheme.where(step.landed, landing, zeros(landing)))
                read = by_reading = None
            by_theta, y_bar, slope_bar, by_inputs, *by_times = pull((y_bar, bars.slope, read))
            y_bar = y_bar if by_reading is None else add(y_bar, by_reading)
            bars = bars._replace(y=y_bar, slope=slope_bar, theta=add(bars.theta, by_theta))
            bars = bars._replace(inputs=add_inputs(scheme, line, step.leg, bars.inputs, by_inputs))
            if timed:
                bars = add_times(bars, step, *by_times)
            return bars

        bars = jax.lax.fori_loop(0, count, step_back, bars)
        if carried:
            rows = steps.taken.any(0)
            y = scheme.where(rows, get(stretch.ys, 0), record.spare)
            _, pull = jax.vjp(slopes, theta, steps.t[0], y)
            by_theta, by_t, by_y = pull(bars.slope)
            y_bar = add(bars.y, scheme.where(rows, by_y, zeros(by_y)))
            bars = bars._replace(
                y=y_bar, slope=zeros(bars.slope), theta=add(bars.theta, by_theta), t=bars.t + by_t
            )
        return bars

    def body(carry):
        number, stretch, bars = carry
        bars = back(number, stretch, bars)
        before = jnp.maximum(number - 1, 0)
        return number - 1, states_of(before, jnp.where(number > 0, record.counts[before], 0), stretch), bars

    bars = Bars(
        y=zeros(problem.y0),
        slope=zeros(problem.y0) if carried else None,
        t=zeros(line.start),
        theta=zeros(theta),
        inputs=zeros(smooth.inputs),
        stops=zeros(line.stops),
        ts=zeros(line.ts),
    )
    last = _Stretch(record.last.steps, record.last.ys, (record.last.curves[0], None) if carried else None)
    if record.counts.shape[0] == 1:
        bars = jax.lax.cond(record.number >= 0, lambda: back(0, last, bars), lambda: bars)
    else:
        bars = jax.lax.while_loop(lambda c: c[0] >= 0, body, (record.number, last, bars))[2]
    y_bar = start_bar(scheme, problem, bars.y, ys_bar)
    line_bar = zeros(smooth.line)._replace(start=bars.t, stops=bars.stops, ts=bars.ts)
    params_bar, context_bar = bars.theta
    return Problem(params_bar, context_bar, y_bar, line_bar, bars.inputs)
