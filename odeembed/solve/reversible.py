"""Algebraically reversible steps of any explicit Runge-Kutta method: the way back is computed, not stored.

Two copies of the state go along. With Psi_h(t, y) = h sum_i b_i k_i the increment of the method from (t, y),

    y1 = l y + (1 - l) z + Psi_h(t, z)      z1 = z - Psi_-h(t + h, y1)

which is undone in closed form, l being the coupling. The gradient is that of the discrete solution, exact but for the
rounding of the states computed backward, which grows by 1 / l a step. At every stop the second copy begins anew.

References:
  McCallum and Foster 2024, Efficient, Accurate and Stable Gradients for Neural ODEs, eq. (4) to (6).
"""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from odeembed.solve.adaptive import Problem, Scheme
from odeembed.solve.adjoint import (
    Bars,
    Readings,
    add,
    add_inputs,
    add_times,
    by_stop,
    differentiated,
    get,
    rows_of_stop,
    spare_state,
    start_bar,
    zeros,
)
from odeembed.solve.config import SolveConfig, Status
from odeembed.solve.march import march
from odeembed.solve.tableau import Tableau, column, curve, moved, stages, tableau


class Coupled(Scheme):
    """A scheme that carries (y, z) for each part of a state: the state is y, errors are those of the step from z."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.reuse = False  # the last stage belongs to z + Psi, where no step begins

    def carried(self, y: Any) -> Any:
        """Both copies at y."""
        return self._each(lambda part: (part, part), y)

    def state(self, carried: Any) -> Any:
        """The first copy."""
        return self._each(lambda pair: pair[0], carried)

    def other(self, carried: Any) -> Any:
        """The second copy."""
        return self._each(lambda pair: pair[1], carried)

    def pair(self, y: Any, z: Any) -> Any:
        """What is carried."""
        return self._each(lambda *pair: pair, y, z)

    def advance(
        self, params: Any, context: Any, t: Any, dt: Any, start: Any, slope: Any, count: int
    ) -> tuple[Any, list[Any]]:
        """A step of both copies; the stages that come back are those from z."""
        t, dt = self.split(t), self.split(dt)
        y, z, ks = _forth(
            self.field, params, context, t, dt, self.state(start), self.other(start), self.method, count
        )
        return self.pair(y, z), ks

    @property
    def method(self) -> tuple[Tableau, float]:
        """Tableau and coupling."""
        return self.table, self.config.coupling

    @property
    def cost(self) -> int:
        """Evaluations of a step."""
        return len(self.table.b) + self.table.needed

    def curve(self, dt: Any, start: Any, ks: list[Any]) -> Any:
        """The method's own curve from z, moved so that it leads from y to y1."""
        if not self.dense:
            return None
        y, z = self.state(start), self.other(start)
        slope = jax.tree.map(
            lambda h, *parts: jax.tree.map(
                lambda k, a, b: k + (1 - self.config.coupling) * (b - a) / column(jnp.where(h == 0, 1, h), a),
                *parts,
            ),
            self.split(dt),
            ks[0],
            y,
            z,
        )
        return slope, curve(self.config.solver, self.split(dt), ks)

    def _each(self, f, *trees):
        parts = [self.structure.flatten_up_to(tree) for tree in trees]
        return self.structure.unflatten([f(*part) for part in zip(*parts, strict=True)])


def _forth(field, params, context, t, dt, y, z, method, count):
    """(y1, z1, stages from z); t and dt are trees of [b] over the parts of a state."""
    table, coupling = method
    ks = stages(field, params, context, t, dt, z, table, None, count)
    # As a difference, so that a row at rest stays where it is to the last bit.
    y = moved(dt, jax.tree.map(lambda a, b: a + (1 - coupling) * (b - a), y, z), table.b, ks)
    end, back = _turned(t, dt)
    other = stages(field, params, context, end, back, y, table, None, table.needed)
    # z1 = z - Psi_-h, and the increment of -h is minus h times the stages' sum.
    return y, moved(dt, z, table.b, other), ks


def _turned(t, dt):
    return jax.tree.map(jnp.add, t, dt), jax.tree.map(jnp.negative, dt)


def _undone(field, fixed, theta, t, dt, y1, z1, method, read=None, last=None):
    """Undoes a step: (y, z, pull), with pull(y1_bar, z1_bar, read_bar) -> bars of (theta, t, dt, z), y and last.

    Args:
      theta, fixed: (params, context), apart into what is differentiated and what is not.
      read: (dt, y, z, stages from z, last) -> readings within the step, where there are any.
    """
    table, coupling = method
    count = table.needed if read is None else len(table.b)

    def slopes(theta, t, dt, y, count):
        params, context = eqx.combine(theta, fixed)
        return stages(field, params, context, t, dt, y, table, None, count)

    def less(theta, t, dt, y, z1):
        end, back = _turned(t, dt)
        # z = z1 + Psi_-h(t + h, y1)
        return moved(back, z1, table.b, slopes(theta, end, back, y, table.needed))

    def plus(dt, z, ks):
        return moved(dt, z, table.b, ks)

    z, pull_less = jax.vjp(less, theta, t, dt, y1, z1)
    ks, pull_ks = jax.vjp(functools.partial(slopes, count=count), theta, t, dt, z)
    there, pull_plus = jax.vjp(plus, dt, z, ks)
    # y1 = z + Psi + l (y - z)
    y = jax.tree.map(lambda a, b, c: c + (a - b) / coupling, y1, there, z)

    def pull(y1_bar, z1_bar, read_bar=None):
        # z1 = z - Psi_-h(t + h, y1): by y1 it is minus what z is by y1, z1 being held.
        theta_bar, t_bar, dt_bar, y_bar, _ = pull_less(jax.tree.map(jnp.negative, z1_bar))
        y1_bar = add(y1_bar, y_bar)
        dt_move, z_bar, ks_bar = pull_plus(y1_bar)
        z_bar = jax.tree.map(lambda a, b, c: a + b - coupling * c, z1_bar, z_bar, y1_bar)
        y_bar = jax.tree.map(lambda a: coupling * a, y1_bar)
        dt_bar, last_bar = add(dt_bar, dt_move), None
        if read is not None:
            _, pull_read = jax.vjp(read, dt, y, z, ks, last)
            *by_read, last_bar = pull_read(read_bar)
            dt_bar, y_bar, z_bar, ks_bar = add((dt_bar, y_bar, z_bar, ks_bar), tuple(by_read))
        return add((theta_bar, t_bar, dt_bar, z_bar), pull_ks(ks_bar)), y_bar, last_bar

    return y, z, pull


def reversible_steps(
    field: Any, params: Any, t0: Any, t1: Any, y0: Any, config: SolveConfig, context: Any
) -> Any:
    """The state after `config.steps` equal steps from t0 to t1, trees of [b] over the parts of y0.

    Differentiable by params, times, state and context, with the memory of one state whatever the number of steps.
    """
    n: Any = config.steps
    method = tableau(config.solver), config.coupling
    smooth, rest = eqx.partition((params, context, t0, t1, y0), eqx.is_inexact_array)

    def at(t0, t1, i):
        dt = jax.tree.map(lambda a, b: (b - a) / n, t0, t1)
        return jax.tree.map(lambda a, h: a + i * h, t0, dt), dt

    def there(smooth, rest):
        params, context, t0, t1, y0 = eqx.combine(smooth, rest)

        def step(i, pair):
            (t, dt), (y, z) = at(t0, t1, i), pair
            return _forth(field, params, context, t, dt, y, z, method, method[0].needed)[:2]

        return jax.lax.fori_loop(0, n, step, (y0, y0))

    @jax.custom_vjp
    def run(smooth, rest):
        return there(smooth, rest)[0]

    def forward(smooth, rest):
        pair = there(smooth, rest)
        return pair[0], (smooth, rest, pair)

    def backward(saved, bar):
        smooth, rest, pair = saved
        _, _, t0, t1, _ = eqx.combine(smooth, rest)
        theta, fixed = smooth[:2], rest[:2]

        def one(j, carry):
            pair, y_bar, z_bar, theta_bar, times_bar = carry
            i = n - 1 - j
            (t, dt), pull_at = jax.vjp(lambda t0, t1: at(t0, t1, i), t0, t1)
            y, z, pull = _undone(field, fixed, theta, t, dt, pair[0], pair[1], method)
            (by_theta, by_t, by_dt, z_bar), y_bar, _ = pull(y_bar, z_bar)
            times_bar = add(times_bar, pull_at((by_t, by_dt)))
            return (y, z), y_bar, z_bar, add(theta_bar, by_theta), times_bar

        start = (pair, bar, zeros(bar), zeros(theta), zeros((t0, t1)))
        _, y_bar, z_bar, theta_bar, times_bar = jax.lax.fori_loop(0, n, one, start)
        (params_bar, context_bar), (t0_bar, t1_bar) = theta_bar, times_bar
        return (params_bar, context_bar, t0_bar, t1_bar, add(y_bar, z_bar)), None

    run.defvjp(forward, backward)
    return run(smooth, rest)


def reversible(scheme: Coupled, problem: Problem) -> Readings:
    """Solves, and is differentiated with respect to every floating-point array of the problem, times included."""
    return differentiated(_forward, _backward, scheme, problem)


def _forward(scheme, problem):
    readings, gone = march(scheme, problem, record=True)
    return readings, (gone, spare_state(scheme, problem, readings.status == Status.NONFINITE))


def _backward(scheme: Any, smooth: Problem, rest: Problem, record: Any, ys_bar: Any, timed: bool) -> Problem:
    problem = eqx.combine(smooth, rest)
    line = problem.line
    gone, spare = record
    theta, fixed = eqx.partition((problem.params, problem.context), eqx.is_inexact_array)
    at_stops = None if scheme.dense else by_stop(scheme, line, ys_bar)
    unread = line.ts != line.start[..., None]  # of the times of a path that is read between stops

    def within(step, dt, y, z, ks, last):
        dt = jnp.stack(jax.tree.leaves(dt))
        at = step._replace(t=last[0], dt=dt)
        return scheme.within(last[1], at, y, scheme.curve(dt, scheme.pair(y, z), ks))

    def one(i, carry):
        pair, bars = carry
        step = get(gone.steps, gone.count - 1 - i)
        read = read_bar = last = None
        if scheme.dense:
            way = jnp.sign(line.stops - line.start[..., None])
            end = jnp.where(step.landed, line.stops[..., 0], step.t + step.dt)[..., None]
            passed = (way * line.ts > way * step.t[..., None]) & (way * line.ts <= way * end)
            read_bar = scheme.where(step.taken[..., None] & unread & passed, ys_bar, zeros(ys_bar))

            read, last = functools.partial(within, step), (step.t, line.ts)
        else:
            # Where the path stopped, its state was kept, and is what the cotangent of that stop belongs to.
            pair = scheme.where(step.landed, rows_of_stop(scheme, step.leg, gone.at_stops), pair)
            landing = scheme.where(step.landed, rows_of_stop(scheme, step.leg, at_stops), zeros(spare))
            bars = bars._replace(y=add(bars.y, scheme.pair(landing, zeros(landing))))
        y1, z1 = scheme.state(pair), scheme.other(pair)
        y, z, pull = _undone(
            scheme.field,
            fixed,
            theta,
            scheme.split(step.t),
            scheme.split(step.dt),
            scheme.where(step.taken, y1, spare),
            scheme.where(step.taken, z1, spare),
            scheme.method,
            read,
            last,
        )
        y1_bar, z1_bar = scheme.state(bars.y), scheme.other(bars.y)
        none = zeros(y1_bar)
        (by_theta, by_t, by_dt, by_z), by_y, by_last = pull(
            scheme.where(step.taken, y1_bar, none), scheme.where(step.taken, z1_bar, none), read_bar
        )
        y_bar = scheme.where(step.taken, by_y, y1_bar)
        z_bar = scheme.where(step.taken, by_z, z1_bar)
        by_t, by_dt = (jnp.stack(jax.tree.leaves(v)) for v in (by_t, by_dt))
        by_ts = jnp.zeros_like(line.ts)
        if by_last is not None:
            by_t, by_ts = by_t + by_last[0], by_last[1]
        pair = scheme.where(step.taken, scheme.pair(y, z), pair)
        if scheme.jump is not None:
            y_bar, z_bar, by_theta, by_t, bars = jumped_back(step, y_bar, z_bar, by_theta, by_t, bars)
        bars = bars._replace(y=scheme.pair(y_bar, z_bar), theta=add(bars.theta, by_theta))
        return pair, add_times(bars, step, by_t, by_dt, by_ts) if timed else bars

    def jumped_back(step, y_bar, z_bar, by_theta, by_t, bars):
        """Both copies came from one state by the jump; that state was kept, at the stop before or as the first."""
        inputs, fixed_inputs = eqx.partition(scheme.inputs(problem, step.leg), eqx.is_inexact_array)
        before = scheme.state(rows_of_stop(scheme, step.leg - 1, gone.at_stops))
        before = scheme.where(step.leg > 0, before, problem.y0)

        def jump(theta, t, y, inputs):
            params = eqx.combine(theta, fixed)[0]
            return scheme.jumped(params, t, y, step.jump, eqx.combine(inputs, fixed_inputs))

        _, pull = jax.vjp(jump, theta, step.t, scheme.where(step.jump, before, spare), inputs)
        both, none = add(y_bar, z_bar), zeros(y_bar)
        theta_jump, t_jump, y_jump, inputs_bar = pull(scheme.where(step.jump, both, none))
        return (
            scheme.where(step.jump, y_jump, y_bar),
            scheme.where(step.jump, none, z_bar),
            add(by_theta, theta_jump),
            by_t + t_jump,
            bars._replace(inputs=add_inputs(scheme, line, step.leg, bars.inputs, inputs_bar)),
        )

    bars = Bars(
        y=scheme.pair(zeros(problem.y0), zeros(problem.y0)),
        slope=None,
        t=jnp.zeros_like(line.start),
        theta=zeros(theta),
        inputs=zeros(smooth.inputs),
        stops=jnp.zeros_like(line.stops),
        ts=jnp.zeros_like(line.ts),
    )
    _, bars = jax.lax.fori_loop(0, gone.count, one, (gone.carried, bars))
    both = add(scheme.state(bars.y), scheme.other(bars.y))  # the path begins with both copies at y0
    line_bar = zeros(smooth.line)._replace(start=bars.t, stops=bars.stops, ts=bars.ts)
    params_bar, context_bar = bars.theta
    return Problem(params_bar, context_bar, start_bar(scheme, problem, both, ys_bar), line_bar, bars.inputs)
