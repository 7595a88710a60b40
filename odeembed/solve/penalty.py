"""What makes a path costly to solve, as an integral along it that is carried beside the state and judged by nobody."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from odeembed.solve.config import Penalty


class Carried(NamedTuple):
    """A part of the state, and the integral along its path.

    Attributes:
      y: the part as it is without a penalty.
      q: float [b, 1], the integral by dt from the start; where time falls it falls too.
    """

    y: Any
    q: Any


def judged(states: Any) -> Any:
    """The states by which steps are chosen and rows fail: the integrals carried beside them are left out."""
    return jax.tree.map(lambda part: part.y if _is_carried(part) else part, states, is_leaf=_is_carried)


def signs(keys: Key[Array, " b"] | None, like: Any) -> Any:
    """The noise of the Jacobian term: int8 signs, +1 or -1 with equal chance, in the shapes of `like`.

    Args:
      keys: one for each row; None: the same signs for all rows, always.
      like: pytree of [b, ...].
    """
    leaves, tree = jax.tree.flatten(like)
    key = jax.random.key(0)

    def draw(number, leaf):
        one = lambda key: jax.random.rademacher(jax.random.fold_in(key, number), leaf.shape[1:], jnp.int8)  # noqa: E731
        return jnp.broadcast_to(one(key), leaf.shape) if keys is None else jax.vmap(one)(keys)

    return jax.tree.unflatten(tree, [draw(number, leaf) for number, leaf in enumerate(leaves)])


def at_start(y0: Any, parts: Any) -> Any:
    """y0 with an integral of 0 beside each of its parts."""

    def zero(part):
        first = jax.tree.leaves(part)[0]
        return jnp.zeros((first.shape[0], 1), first.dtype)

    return _beside(parts, y0, [zero(part) for part in parts.flatten_up_to(y0)])


def with_penalty(field: Any, penalty: Penalty, parts: Any) -> Callable[[Any, Any, Any, Any], Any]:
    """The field of the carried states: dy/dt = f and dq/dt = sum_k weight_k |term_k|^2, means over the entries.

    Its context is the pair (context, noise); an entry whose noise is 0 does not count.

    Args:
      parts: tree structure of the times, one leaf for each part that is solved side by side.

    References:
      Finlay et al. 2020, How to Train Your Neural ODE, for the kinetic and the Jacobian term, with one noise vector
      through the whole solve as in Grathwohl et al. 2019, section 3.1; Kelly et al. 2020, Learning Differential
      Equations that are Easy to Solve, for the Taylor term.
    """

    def carried(params, t, states, context):
        context, noise = context
        y = judged(states)

        def f(t, y):
            return field(params, t, y, context)

        dy = f(t, y)
        terms = [(penalty.kinetic, lambda: dy)] if penalty.kinetic else []
        if penalty.jacobian:
            terms.append((penalty.jacobian, lambda: _noise_times_jacobian(f, t, y, noise)))
        if penalty.taylor:
            terms.append((penalty.taylor, lambda: total_derivative(f, penalty.order)(t, y)))
        rates = jax.tree.map(jnp.zeros_like, [part.q for part in parts.flatten_up_to(states)])
        for weight, term in terms:
            squares = _mean_squares(parts, term(), noise)
            rates = [rate + weight * square for rate, square in zip(rates, squares, strict=True)]
        return _beside(parts, dy, rates)

    return carried


def with_integral(jump: Any, parts: Any) -> Callable[[Any, Any, Any, Any], Any]:
    """The jump of the carried states: the integrals stay as they are."""

    def carried(params, t, states, inputs):
        y = jump(params, t, judged(states), inputs)
        return _beside(parts, y, [part.q for part in parts.flatten_up_to(states)])

    return carried


def along(ys: Any, ts: Any) -> Float[Array, " b"]:
    """The integrals by |dt| over all times [b, n] of the carried states `ys`, summed over the parts.

    The integrand is nowhere negative, so it is enough to know whether time rises or falls from one reading to the next.
    """
    totals = jax.tree.map(
        lambda t, part: jnp.sum(jnp.sign(jnp.diff(t, axis=1)) * jnp.diff(part.q[..., 0], axis=1), axis=1),
        ts,
        ys,
    )
    return sum(jax.tree.leaves(totals), start=jnp.zeros(()))


def total_derivative(f: Callable[[Any, Any], Any], order: int) -> Callable[[Any, Any], Any]:
    """(t, y) -> d^order y / dt^order along the solution of dy/dt = f(t, y) through (t, y).

    Each order is the derivative of the one below in the direction (1, f).
    """
    derivative = f
    for _ in range(order - 1):
        derivative = _raised(derivative, f)
    return derivative


def _raised(g, f):
    return lambda t, y: jax.jvp(g, (t, y), (jax.tree.map(jnp.ones_like, t), f(t, y)))[1]


def _noise_times_jacobian(f, t, y, noise):
    _, pull = jax.vjp(lambda y: f(t, y), y)
    return pull(jax.tree.map(lambda e, x: e.astype(x.dtype), noise, y))[0]


def _mean_squares(parts, values, noise):
    """For each part [b, 1], the mean square of the entries of each row where the noise is not 0."""

    def mean(part, noise):
        pairs = list(zip(jax.tree.leaves(part), jax.tree.leaves(noise), strict=True))
        total = sum(_row_sum(jnp.square(jnp.where(e != 0, v, 0.0))) for v, e in pairs)
        count = sum(_row_sum((e != 0).astype(v.dtype)) for v, e in pairs)
        return (total / jnp.maximum(count, 1.0))[:, None]

    return [
        mean(part, e) for part, e in zip(parts.flatten_up_to(values), parts.flatten_up_to(noise), strict=True)
    ]


def _beside(parts, y, integrals):
    return jax.tree.unflatten(
        parts, [Carried(part, q) for part, q in zip(parts.flatten_up_to(y), integrals, strict=True)]
    )


def _row_sum(v):
    return jnp.sum(v, axis=tuple(range(1, v.ndim)))


def _is_carried(part):
    return isinstance(part, Carried)
