"""What all gradients by a way back share: the custom derivative of a solve, and sums over rows, stops and steps."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from odeembed.errors import DerivativeError
from odeembed.solve.adaptive import Problem, Scheme, Step
from odeembed.solve.tableau import column
from odeembed.solve.timeline import Timeline


class Readings(NamedTuple):
    """What a solve gives: states, leaves [b, n, ...]; which were reached, [p, b, n]; status and counts, [p, b]."""

    ys: Any
    reached: Any
    status: Any
    stats: Any


class Bars(NamedTuple):
    """Cotangents on the way back: of the state, slope and time that are at hand, and of the arrays of the problem."""

    y: Any
    slope: Any
    t: Any
    theta: Any
    inputs: Any
    stops: Any
    ts: Any


def differentiated(
    forward: Callable[[Scheme, Problem], tuple[Readings, Any]],
    backward: Callable[[Scheme, Problem, Problem, Any, Any, bool], Problem],
    scheme: Scheme,
    problem: Problem,
) -> Readings:
    """Solves by `forward`, and is differentiated by `backward`, by every floating-point array of the problem.

    Args:
      forward: (scheme, problem) -> (readings, record).
      backward: (scheme, floating-point arrays, the others, record, cotangent of ys, whether the gradient by the
        times is wanted) -> cotangents of the floating-point arrays.

    Raises:
      DerivativeError: a derivative of the gradient is asked for.
    """
    problem = jax.tree.map(jnp.asarray, problem)
    smooth, rest = eqx.partition(problem, eqx.is_inexact_array)

    @jax.custom_vjp
    def run(smooth, rest):
        return forward(scheme, eqx.combine(smooth, rest))[0]

    def there(smooth, rest):
        # The gradient by the times is asked for seldom, and is not free.
        timed = _Static(any(leaf.perturbed for leaf in jax.tree.leaves(smooth.line, is_leaf=_is_primal)))
        smooth, rest = jax.tree.map(lambda leaf: leaf.value, (smooth, rest), is_leaf=_is_primal)
        readings, record = forward(scheme, eqx.combine(smooth, rest))
        return readings, (smooth, rest, record, timed)

    def back(saved, bar):
        smooth, rest, record, timed = saved
        ys_bar = jax.tree.map(_instantiated, bar.ys, is_leaf=_is_zero)

        @jax.custom_jvp
        def once(smooth, rest, record, ys_bar):
            return backward(scheme, smooth, rest, record, ys_bar, timed.value)

        once.defjvp(_refused)
        return once(smooth, rest, record, ys_bar), None

    run.defvjp(there, back, symbolic_zeros=True)
    return run(smooth, rest)


def _refused(primals, tangents):
    raise DerivativeError(
        "this adjoint gives first derivatives in reverse mode alone. Set adjoint to direct for others."
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


def spare_state(scheme: Scheme, problem: Problem, lost: Any) -> Any:
    """A state, like y0, to ask the field at for rows that do nothing: none of a row that is `lost` [p, b].

    Where the field has no value the initial state is no place to ask it either, but that of a sound row may be.
    """
    sound = scheme.by_part(lambda lost, y: jnp.broadcast_to(y[jnp.argmin(lost)], y.shape), lost, problem.y0)
    return scheme.where(lost, jax.tree.map(jnp.nan_to_num, sound), problem.y0)


def start_bar(scheme: Scheme, problem: Problem, y_bar: Any, ys_bar: Any) -> Any:
    """The cotangent of y0: that of the path's beginning, and of the readings that are y0 itself."""
    return scheme.by_part(
        lambda at, total, read: total + jnp.sum(jnp.where(column(at, read), read, 0), axis=1),
        at_start(scheme, problem)[1],
        y_bar,
        ys_bar,
    )


def add_times(bars: Bars, step: Step, by_t: Any, by_dt: Any, by_ts: Any) -> Bars:
    """A step ends at t + dt, which is the next one's t, or at a stop; there dt itself is the stop less t."""
    leg = jnp.minimum(step.leg, bars.stops.shape[-1] - 1)
    p, b = leg.shape
    at_stop = jnp.where(step.landed, bars.t + by_dt, 0.0)
    return bars._replace(
        t=by_t + jnp.where(step.landed, -by_dt, bars.t),
        stops=bars.stops.at[jnp.arange(p)[:, None], jnp.arange(b), leg].add(at_stop),
        ts=bars.ts + by_ts,
    )


def add_inputs(scheme: Scheme, line: Timeline, leg: Any, total: Any, new: Any) -> Any:
    """Adds the cotangents of what jumps at stops number `leg` [p, b] were given, leaves [b, ...], to [b, n, ...]."""
    if new is None:
        return total
    event = jnp.take_along_axis(line.events, jnp.minimum(leg, line.events.shape[-1] - 1)[..., None], axis=-1)[
        ..., 0
    ]
    return scheme.by_part(lambda i, x, v: x.at[jnp.arange(v.shape[0]), i].add(v), event, total, new)


def by_stop(scheme: Scheme, line: Timeline, ys_bar: Any) -> Any:
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


def rows_of_stop(scheme: Scheme, leg: Any, states: Any) -> Any:
    """The states [b, ...] at the stop with which leg number `leg` [p, b] ends, of leaves [b, m, ...]."""
    return scheme.by_part(lambda i, x: x[jnp.arange(x.shape[0]), jnp.minimum(i, x.shape[1] - 1)], leg, states)


def zeros(tree: Any, *lead: int) -> Any:
    """Zeros like the leaves, with axes before theirs."""
    return jax.tree.map(lambda x: jnp.zeros((*lead, *x.shape), x.dtype), tree)


def put(tree: Any, i: Any, new: Any) -> Any:
    """The leaves with their i-th entry replaced."""
    return jax.tree.map(
        lambda x, v: jax.lax.dynamic_update_index_in_dim(x, v.astype(x.dtype), i, 0), tree, new
    )


def get(tree: Any, i: Any) -> Any:
    """The i-th entry of each leaf."""
    return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False), tree)


def add(first: Any, second: Any) -> Any:
    """Leaf by leaf."""
    return jax.tree.map(jnp.add, first, second)
