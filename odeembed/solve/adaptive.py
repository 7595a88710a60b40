"""One step of all paths: each row its own time, length and error, the whole batch in one evaluation of the field."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.solve.config import SolveConfig, Status
from odeembed.solve.penalty import judged
from odeembed.solve.tableau import (
    column,
    columns,
    curve,
    curve_bar,
    moved,
    on_curve,
    stages,
    tableau,
    weighted,
)
from odeembed.solve.timeline import Timeline

# Hairer, Norsett and Wanner, section II.4: a step aims at a little less than the tolerance allows, and is no more than
# so many times shorter or longer than the one before.
_SAFETY, _SHORTER, _LONGER = 0.9, 0.2, 10.0
_ROUNDING = 16.0  # units in the last place of t below which a step is no step


class Problem(NamedTuple):
    """All arrays of a solve.

    Attributes:
      params, context: what the field is given.
      y0: the state at the start.
      line: stops and readings of all paths.
      inputs: what the jumps are given, [b, n, ...] for each part; None without jumps.
    """

    params: Any
    context: Any
    y0: Any
    line: Timeline
    inputs: Any


class Step(NamedTuple):
    """What is recorded of a step, each [p, b]: all that it takes to take it again.

    Attributes:
      t: where it began.
      dt: how far it went, 0 in the rows that did not take it.
      taken: the rows that took it; the others stayed as they were.
      jump: the rows that jumped before it.
      leg: number of stops reached before it.
      landed: the rows that reached the next stop with it.
    """

    t: Any
    dt: Any
    taken: Any
    jump: Any
    leg: Any
    landed: Any


class Walk(NamedTuple):
    """Where all paths are, arrays [p, b] but for the states.

    Attributes:
      y: what is carried for the state, not jumped yet where a jump is due.
      slope: f(t, y) where the method has it from the step before (FSAL), else None.
      t: time.
      leg: number of stops reached.
      fresh: whether no step was taken since the last stop.
      size: length of the next step, without regard to the next stop.
      errors: [2, p, b], tolerance over error of the last two steps, for the PID rule.
      status: a `Status`; MAX_STEPS until the last stop is reached.
      evaluations, accepted, rejected: counts.
    """

    y: Any
    slope: Any
    t: Any
    leg: Any
    fresh: Any
    size: Any
    errors: Any
    status: Any
    evaluations: Any
    accepted: Any
    rejected: Any

    @property
    def active(self) -> Any:
        """bool [p, b], the rows that are still on their way."""
        return self.status == Status.MAX_STEPS


class Scheme:
    """Field, jump and method of a solve: what is known before its arrays are.

    Attributes:
      dense: whether states are read between stops.
      reuse: whether a step's last stage is the next one's first; a jump between them forbids it.
    """

    def __init__(self, field: Any, jump: Any, config: SolveConfig, structure: Any, dense: bool):
        self.field, self.jump, self.config, self.structure, self.dense = field, jump, config, structure, dense
        self.table = tableau(config.solver)
        self.reuse = self.table.fsal and jump is None

    def split(self, v: Any) -> Any:
        """The tree over the parts of a state whose leaves are v[0], v[1], ..."""
        return jax.tree.unflatten(self.structure, list(v))

    def by_part(self, f: Any, v: Any, *states: Any) -> Any:
        """f(v[part], leaf, ...) for each leaf of states."""
        return jax.tree.map(
            lambda x, *parts: jax.tree.map(lambda *leaves: f(x, *leaves), *parts), self.split(v), *states
        )

    def where(self, at: Any, new: Any, old: Any) -> Any:
        """The rows of `new` where `at` [p, b] is true, those of `old` elsewhere."""
        return self.by_part(lambda rows, a, b: jnp.where(column(rows, a), a, b), at, new, old)

    def norms(self, v: Any, rows: Any) -> tuple[Any, Any]:
        """Root mean squares [p, b]: of each row's entries, and those that steps are judged by.

        These are the same, or with `control="batch"` that of the entries of all `rows`.
        """
        parts = [jax.tree.leaves(part) for part in self.structure.flatten_up_to(judged(v))]
        total = jnp.stack([sum(_row_sum(jnp.square(leaf)) for leaf in part) for part in parts])
        size = np.array([[sum(math.prod(leaf.shape[1:]) for leaf in part)] for part in parts], np.float32)
        own = jnp.sqrt(total / size)
        if self.config.control == "row":
            return own, own
        mean = jnp.sum(jnp.where(rows, total, 0.0)) / jnp.maximum(jnp.sum(jnp.where(rows, size, 0.0)), 1.0)
        return own, jnp.broadcast_to(jnp.sqrt(mean), total.shape)

    def slopes(self, params: Any, context: Any, t: Any, y: Any) -> Any:
        """f(t, y) for t of [p, b]."""
        return self.field(params, columns(self.split(t), y), y, context)

    def inputs(self, problem: Problem, leg: Any) -> Any:
        """What the jump at stop number `leg` [p, b] is given, [b, ...] for each part; None without jumps."""
        if self.jump is None:
            return None
        event = _along(problem.line.events, leg)
        return self.by_part(lambda i, x: x[jnp.arange(x.shape[0]), i], event, problem.inputs)

    def carried(self, y: Any) -> Any:
        """What a walk carries from step to step when it is at state y: y."""
        return y

    def state(self, carried: Any) -> Any:
        """The state in what is carried."""
        return carried

    def jumped(self, params: Any, t: Any, y: Any, due: Any, inputs: Any) -> Any:
        """The state after the jumps that are due, [p, b]."""
        if self.jump is None:
            return y
        # An input that is not due must not matter, not even as 0 * NaN in a gradient.
        inputs = self.where(due, inputs, jax.tree.map(jnp.zeros_like, inputs))
        return self.where(due, self.jump(params, columns(self.split(t), y), y, inputs), y)

    def advance(
        self, params: Any, context: Any, t: Any, dt: Any, start: Any, slope: Any, count: int
    ) -> tuple[Any, list[Any]]:
        """One step of what is carried, with `count` stages, which come back too; t and dt are [p, b]."""
        t, dt = self.split(t), self.split(dt)
        ks = stages(self.field, params, context, t, dt, start, self.table, slope, count)
        return moved(dt, start, self.table.b, ks), ks

    def begin(self, problem: Problem) -> Walk:
        """All paths at their start, with the length of their first step.

        References:
          Hairer, Norsett and Wanner, section II.4, algorithm for the starting step size.
        """
        line, config = problem.line, self.config
        t, zero = line.start, jnp.zeros(line.start.shape, jnp.int32)
        status = jnp.where(line.last > 0, Status.MAX_STEPS, Status.SUCCESS)
        status = jnp.where(line.sound, status, Status.BAD_TIMES).astype(jnp.int32)
        slope, size, count = None, jnp.full(t.shape, config.first_step or 0.0, t.dtype), 0
        if self.reuse or config.first_step is None:
            y = self.jumped(problem.params, t, problem.y0, line.jumps[..., 0], self.inputs(problem, zero))
            slope, count = self.slopes(problem.params, problem.context, t, y), 1
            if config.first_step is None:
                size, count = self._first_size(problem, t, y, slope), 2
        return Walk(
            y=self.carried(problem.y0),
            slope=slope if self.reuse else None,
            t=t,
            leg=zero,
            fresh=jnp.ones(t.shape, bool),
            size=jax.lax.stop_gradient(size),
            errors=jnp.ones((2, *t.shape), t.dtype),
            status=status,
            evaluations=jnp.where(status == Status.MAX_STEPS, count, zero),
            accepted=zero,
            rejected=zero,
        )

    def _first_size(self, problem, t, y, slope):
        config, rows = self.config, self._finite(slope)
        way = jnp.sign(problem.line.stops[..., 0] - t)
        scale = jax.tree.map(lambda a: config.atol + config.rtol * jnp.abs(a), y)

        def norm(v):
            return self.norms(jax.tree.map(jnp.divide, v, scale), rows)[1].astype(t.dtype)

        d0, d1 = norm(y), norm(slope)
        small = (d0 < 1e-5) | (d1 < 1e-5)
        h0 = jnp.where(small, 1e-6, 0.01 * d0 / jnp.where(small, 1.0, d1))
        there = self.slopes(
            problem.params, problem.context, t + way * h0, moved(self.split(way * h0), y, (1.0,), [slope])
        )
        d2 = norm(jax.tree.map(jnp.subtract, there, slope)) / h0
        steepest = jnp.maximum(d1, d2)
        h1 = jnp.where(
            steepest <= 1e-15, jnp.maximum(1e-6, 1e-3 * h0), (0.01 / steepest) ** (1 / self.table.order)
        )
        size = jnp.minimum(100 * h0, h1)
        return jnp.where(jnp.isfinite(size), size, 1e-6).astype(t.dtype)  # the first step will find out

    def attempt(self, problem: Problem, walk: Walk) -> tuple[Walk, Step, Any]:
        """Tries one step of every row that is on its way: where that leads, its record, and its curve."""
        config, table = self.config, self.table
        rows = walk.active
        target = _along(problem.line.stops, walk.leg)
        rest = target - walk.t
        landing = walk.size >= jnp.abs(rest) * (1 - 1e-6)
        dt = jnp.where(rows, jnp.where(landing, rest, jnp.sign(rest) * walk.size), 0.0)
        due = rows & walk.fresh & _along(problem.line.jumps, walk.leg)
        start = walk.y
        if self.jump is not None:
            y = self.jumped(problem.params, walk.t, self.state(start), due, self.inputs(problem, walk.leg))
            start = self.where(due, self.carried(y), start)
        end, ks = self.advance(problem.params, problem.context, walk.t, dt, start, walk.slope, len(table.b))

        error = self.by_part(
            lambda h, e, a, b: (
                column(h, e) * e / (config.atol + config.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b)))
            ),
            dt,
            weighted(table.error, ks),
            self.state(start),
            self.state(end),
        )
        lost = rows & ~self._finite(ks[0])
        own, ratio = jax.lax.stop_gradient(self.norms(error, rows & ~lost))
        taken = rows & ~lost & ((ratio < 1) | (dt == 0))
        size, errors = self._next_size(walk, dt, rows, taken, ratio)
        size = jax.lax.stop_gradient(size)
        # At t = 0 any length can be told apart, and there has to be an end all the same.
        eps = jnp.finfo(walk.t.dtype).eps
        units = eps * jnp.maximum(jnp.abs(walk.t), eps * jnp.abs(target))
        # One row that cannot go on must not end the others, though they share its step.
        stuck = rows & ~taken & (size < _ROUNDING * units) & ~(own < 1)
        landed = taken & landing
        leg = walk.leg + landed
        status = jnp.where(rows & (leg == problem.line.last), Status.SUCCESS, walk.status)
        status = jnp.where(stuck, jnp.where(jnp.isfinite(own), Status.UNDERFLOW, Status.NONFINITE), status)
        step = Step(walk.t, jnp.where(taken, dt, 0.0), taken, due & taken, walk.leg, landed)
        moving = dt != 0
        after = Walk(
            y=self.where(taken, end, walk.y),
            slope=self.where(taken, ks[-1], walk.slope) if self.reuse else None,
            t=jnp.where(landed, target, jnp.where(taken, walk.t + dt, walk.t)),
            leg=leg,
            fresh=jnp.where(taken, landing, walk.fresh),
            size=size,
            errors=errors,
            status=jnp.where(lost, Status.NONFINITE, status).astype(jnp.int32),
            evaluations=walk.evaluations + (rows & moving) * self.cost,
            accepted=walk.accepted + (taken & moving),
            rejected=walk.rejected + (rows & ~taken),
        )
        return after, step, self.curve(dt, start, ks)

    @property
    def cost(self) -> int:
        """Evaluations of a step."""
        return len(self.table.b) - self.reuse

    def curve(self, dt: Any, start: Any, ks: list[Any]) -> Any:
        """What the states within a step are read from: the slope at its beginning, and the rest of the polynomial."""
        return (ks[0], curve(self.config.solver, self.split(dt), ks)) if self.dense else None

    def _next_size(self, walk, dt, rows, taken, ratio):
        """diffrax's PIDController, but that a step cut short by a stop does not make the next one shorter."""
        p, i, d = (x / self.table.order for x in self.config.pid)
        inverse = jnp.where(jnp.isnan(ratio), 0.0, 1 / ratio).astype(walk.size.dtype)
        factor = _SAFETY * inverse ** (p + i + d)
        if p + 2 * d:
            factor = factor * walk.errors[0] ** -(p + 2 * d)
        if d:
            factor = factor * walk.errors[1] ** d
        factor = jnp.clip(factor, jnp.where(taken, 1.0, _SHORTER), jnp.where(taken, _LONGER, _SAFETY))
        stride = jnp.abs(dt)
        if self.config.control == "batch":
            stride = jnp.broadcast_to(jnp.max(stride), stride.shape)
        size = stride * factor
        size = jnp.where(taken, jnp.maximum(size, walk.size), size)
        size = jnp.where(rows & (dt != 0), size, walk.size)
        usable = jnp.where((inverse == 0) | jnp.isinf(inverse), 1.0, inverse)
        return size, jnp.where(taken, jnp.stack([usable, walk.errors[0]]), walk.errors)

    def _finite(self, states):
        """bool [p, b], rows without a NaN or an infinity."""
        return jnp.stack(
            [
                jnp.stack([_row_all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(part)]).all(0)
                for part in self.structure.flatten_up_to(judged(states))
            ]
        )

    def again(self, params, context, y, slope, step: Step, inputs, spare) -> tuple[Any, Any, Any]:
        """A recorded step from y: the state and, where it is carried, the slope after it, and its curve.

        Rows that did not take the step stay at y; for them the field is asked at `spare`, so that no NaN counts.
        """
        start = self.where(step.taken, y, spare)
        start = self.jumped(params, step.t, start, step.jump, inputs)
        known = None if slope is None else self.where(step.taken, slope, jax.tree.map(jnp.zeros_like, slope))
        after, ks = self.advance(params, context, step.t, step.dt, start, known, self.count)
        after = self.where(step.taken, after, y)
        if slope is not None:
            slope = self.where(step.taken, ks[-1], slope)
        return after, slope, self.curve(step.dt, start, ks)

    @property
    def count(self) -> int:
        """Stages that a step needs when it is taken again, its error known."""
        return len(self.table.b) if self.dense else self.table.needed

    def index(self, line: Timeline, count: Any, steps: Step) -> tuple[Any, Any]:
        """By which of a stretch of recorded steps each time is reached, [p, b, n], and whether by any.

        Args:
          count: how many of the steps are real.
          steps: arrays [c, p, b].
        """
        real = (jnp.arange(steps.t.shape[0]) < count)[:, None, None, None]
        if self.dense:
            way = jnp.sign(line.stops - line.start[..., None])
            end = jnp.where(steps.landed, line.stops[..., 0], steps.t + steps.dt)[..., None]
            index = jnp.sum(real & (way * end < way * line.ts), axis=0, dtype=jnp.int32)
            ahead = way * line.ts > way * steps.t[0][..., None]
        else:
            reached = (steps.leg + steps.landed)[..., None]
            index = jnp.sum(real & (reached < line.arrivals), axis=0, dtype=jnp.int32)
            ahead = line.arrivals > steps.leg[0][..., None]
        return index, ahead & (index < count)

    def read(self, line: Timeline, index: Any, steps: Step, ys: Any, curves: Any) -> Any:
        """The states at the times that a stretch of recorded steps passes, leaves [b, n, ...].

        Args:
          index: by which step each time is reached, [p, b, n].
          ys: leaves [c + 1, b, ...], the state before each step and after the last one.
          curves: of each step, leaves [c, b, ...]; None where states are read at stops.
        """
        index = jnp.minimum(index, steps.t.shape[0] - 1)
        if not self.dense:
            return self.by_part(lambda i, y: _rows_at(y, i + 1), index, ys)
        t, dt = (jnp.take_along_axis(jnp.moveaxis(v, 0, -1), index, axis=-1) for v in (steps.t, steps.dt))
        slopes, curvatures = curves
        return self._on_curve(
            line.ts - t,
            dt,
            *(self.by_part(lambda i, v: _rows_at(v, i), index, v) for v in (ys, slopes, curvatures)),
        )

    def within(self, ts: Any, step: Step, y: Any, curves: Any) -> Any:
        """The states [b, n, ...] at times `ts` [p, b, n] on the curve of one step."""
        y, slope, curvature = jax.tree.map(lambda x: x[:, None], (y, *curves))
        return self._on_curve(ts - step.t[..., None], step.dt[..., None], y, slope, curvature)

    def within_bar(self, ts: Any, step: Step, rows: Any, bar: Any) -> tuple[Any, Any, Any]:
        """The cotangents of state, slope and curvature of `within`, from those of its states at `rows` [p, b, n]."""
        since = ts - step.t[..., None]
        theta = _share(since, step.dt[..., None])
        return curve_bar(self.config.solver, self.split(jnp.stack([rows, since, theta], axis=2)), bar)

    def _on_curve(self, since, dt, y, slope, curvature):
        theta = _share(since, dt)
        return self.by_part(
            lambda v, y, slope, curvature: on_curve(y, slope, curvature, v[0], v[1]),
            jnp.stack([since, theta], axis=1),
            y,
            slope,
            curvature,
        )


def _share(since, dt):
    """Of a step, how much of it a time is; a step not taken has no length."""
    return since / jnp.where(dt == 0, 1.0, dt)


def _along(v, leg):
    """v[p, b, leg[p, b]], the last one where the path is at its end."""
    return jnp.take_along_axis(v, jnp.minimum(leg, v.shape[-1] - 1)[..., None], axis=-1)[..., 0]


def _rows_at(v, index):
    """v[index[b, n], b], leaves [b, n, ...] from [c, b, ...]."""
    return v[index, jnp.arange(v.shape[1])[:, None]]


def _row_sum(v):
    return jnp.sum(v, axis=tuple(range(1, v.ndim)))


def _row_all(v):
    return jnp.all(v, axis=tuple(range(1, v.ndim)))
