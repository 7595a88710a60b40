"""Explicit Runge-Kutta methods: their coefficients, one step of them with the stages unrolled, their dense output."""

import functools
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

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
_OWN = {
    "euler": (1, (), (), (1.0,)),
    "rk4": (4, (0.5, 0.5, 1.0), ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "rk38": (
        4,
        (_THIRD, 2 * _THIRD, 1.0),
        ((_THIRD,), (-_THIRD, 1.0), (1.0, -1.0, 1.0)),
        (1 / 8, 3 / 8, 3 / 8, 1 / 8),
    ),
}


class Tableau(NamedTuple):
    """Butcher's coefficients: k_i = f(t + c_i dt, y + dt sum_j a_ij k_j) and y1 = y + dt sum_i b_i k_i.

    Attributes:
      order: of y1; the error estimate is of the same local order.
      c: nodes, without the first, which is 0.
      a: rows of the matrix, without the first, which is empty.
      b: weights of the solution.
      error: weights of the error estimate; () where there is none.
      fsal: whether the last stage is the first one of the step that follows.
    """

    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    error: tuple[float, ...] = ()
    fsal: bool = False

    @property
    def needed(self) -> int:
        """How many stages the solution needs; the others serve the error estimate or the dense output."""
        return max(i for i, b in enumerate(self.b) if b) + 1


@functools.cache
def tableau(solver: str) -> Tableau:
    """The coefficients of a method, by its name in `SolveConfig`."""
    if solver in _OWN:
        return Tableau(*_OWN[solver])
    method = DIFFRAX_SOLVERS[solver]()
    table = method.tableau
    return Tableau(
        method.order(None),
        tuple(map(float, table.c)),
        tuple(tuple(map(float, row)) for row in table.a_lower),
        tuple(map(float, table.b_sol)),
        tuple(map(float, table.b_error)),
        bool(table.fsal),
    )


def stages(
    field: Any, params: Any, context: Any, t: Any, dt: Any, y: Any, table: Tableau, first: Any, count: int
) -> list[Any]:
    """The first `count` stages k_i of a step from (t, y); t and dt are trees of [b] over the parts of y.

    Args:
      first: k_1 where it is known, or None.
    """
    ks = [field(params, columns(t, y), y, context) if first is None else first]
    for node, row in zip(table.c[: count - 1], table.a, strict=False):
        at = jax.tree.map(lambda a, h, c=node: a + c * h, t, dt)
        ks.append(field(params, columns(at, y), moved(dt, y, row, ks), context))
    return ks


def moved(dt: Any, y: Any, weights: tuple[float, ...], ks: list[Any]) -> Any:
    """y + dt * sum_i weights_i k_i, with dt [b] put before every leaf of its part of y."""
    change = weighted(weights, ks)
    return jax.tree.map(
        lambda h, part, move: jax.tree.map(lambda a, k: a + column(h, a) * k, part, move), dt, y, change
    )


def weighted(weights: tuple[float, ...], ks: list[Any]) -> Any:
    """sum_i weights_i k_i; stages of weight 0 are not touched."""
    used = [(weight, k) for weight, k in zip(weights, ks, strict=False) if weight]
    return jax.tree.map(
        lambda *leaves: sum(w * k for (w, _), k in zip(used, leaves, strict=True)), *(k for _, k in used)
    )


def columns(ts: Any, y: Any) -> Any:
    """Each time [b] as [b, 1, ...], with the rank of the first leaf of its part of y."""
    return jax.tree.map(lambda t, part: column(t, jax.tree.leaves(part)[0]), ts, y)


def column(t: Array, y: Array) -> Array:
    """[b] as [b, 1, ...] with y's rank."""
    return t.reshape(t.shape + (1,) * (y.ndim - t.ndim))


@functools.cache
def dense_matrix(solver: str) -> np.ndarray:
    """C [s, q] of the dense output y(t + theta dt) = y + dt sum_q theta^(q + 1) sum_i C[i, q] k_i, theta in [0, 1].

    The first column is that of k_1 alone, the slope at the beginning. For a method with FSAL this is the interpolation
    that diffrax gives it; for the others, whose last stage is no slope at the end of the step, the parabola through
    both ends with slope k_1 at the first.
    """
    table = tableau(solver)
    count = len(table.b)
    if not table.fsal:
        first = np.eye(count)[:, :1]
        return np.concatenate([first, np.array(table.b)[:, None] - first], axis=1)
    # An interpolation is linear in the stages and goes component by component: with the i-th unit vector as k_i, y = 0
    # and dt = 1, its values are those of the i-th polynomial, whose coefficients are fitted exactly.
    theta = (1 - np.cos(np.linspace(0.2, np.pi, 12))) / 2
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        unit = DIFFRAX_SOLVERS[solver].interpolation_cls(
            t0=jnp.float64(0), t1=jnp.float64(1), y0=jnp.zeros(count), y1=jnp.array(table.b), k=jnp.eye(count)
        )
        values = np.stack([np.asarray(unit.evaluate(jnp.float64(at))) for at in theta])
    powers = theta[:, None] ** np.arange(1, 8)
    fitted = np.linalg.lstsq(powers, values, rcond=None)[0]
    fitted = np.where(np.abs(fitted) > 1e-6, fitted, 0.0)
    return fitted[: np.flatnonzero(fitted.any(1)).max() + 1].T


def curve(solver: str, dt: Any, ks: list[Any]) -> Any:
    """P [b, q, ...] of y(t + theta dt) = y + theta dt k_1 + sum_q theta^(q + 2) P_q."""
    sums = [weighted(tuple(weights), ks) for weights in dense_matrix(solver).T[1:].tolist()]
    return jax.tree.map(
        lambda h, *parts: jax.tree.map(
            lambda *leaves: jnp.stack([column(h, k) * k for k in leaves], axis=1), *parts
        ),
        dt,
        *sums,
    )


def on_curve(y: Any, slope: Any, curvature: Any, since: Any, theta: Any) -> Any:
    """The states [b, n, ...] on curves that begin at y with a slope, after the time `since` [b, n], theta of the step.

    Args:
      y, slope: [b, n, ...], or [b, 1, ...] where all are on one curve.
      curvature: [b, n, q, ...] or [b, 1, q, ...].
    """
    powers = theta[..., None] ** np.arange(2, 2 + curvature.shape[2])
    return y + column(since, y) * slope + jnp.sum(column(powers, curvature) * curvature, axis=2)


def curve_bar(solver: str, at: Any, bar: Any) -> tuple[Any, Any, Any]:
    """The transpose of `on_curve` where all states of a row are on one curve: cotangents of y, slope and curvature.

    Args:
      at: [b, 3, n] for each part: 1 for the states that count, 0 for others; time on the curve; theta of the step.
      bar: the cotangents of the states, [b, n, ...].
    """
    powers = np.arange(2, dense_matrix(solver).shape[1] + 1)[:, None]

    def part(at, leaves):
        rows, since, theta = at[:, :1], at[:, 1:2], at[:, 2:]
        factors = jnp.concatenate([rows, rows * since, rows * theta**powers], axis=1)
        return jax.tree.map(
            lambda x: jnp.einsum(
                "bkn,bn...->bk...", factors.astype(x.dtype), x, precision=jax.lax.Precision.HIGHEST
            ),
            leaves,
        )

    sums = jax.tree.map(part, at, bar)
    return tuple(jax.tree.map(lambda x, s=s: x[:, s], sums) for s in (0, 1, slice(2, None)))
