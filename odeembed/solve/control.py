"""Smooth paths through what was seen at irregular times, to drive an equation by."""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class Control(NamedTuple):
    """A path for each row, piecewise cubic, with a slope that is continuous.

    Attributes:
      ts: float [b, n], the times it was made from.
      coefficients: of the pieces, each [b, n - 1, c].
    """

    ts: Any
    coefficients: Any


def control(ts: Float[Array, "b n"], x: Float[Array, "b n c"]) -> Control:
    """The path through x at the times ts, which rise; it does not know what comes after a piece's end.

    Args:
      x: NaN where a channel was not seen: it goes straight from value to value, from 0 at first, and stays at its last.

    References:
      Morrill et al. 2021, Neural Controlled Differential Equations for Online Prediction Tasks, section 3.
    """
    x = x.at[:, 0].set(jnp.nan_to_num(x[:, 0]))

    def one(ts: Any, x: Any) -> Any:
        filled = diffrax.linear_interpolation(ts, x, fill_forward_nans_at_end=True)
        return diffrax.backward_hermite_coefficients(ts, filled)

    return Control(ts, jax.vmap(one)(ts, x))


def slope(path: Control, t: Float[Array, "b 1"]) -> Float[Array, "b c"]:
    """dX/dt of each row at its own time."""
    return jax.vmap(lambda ts, coefficients, t: diffrax.CubicInterpolation(ts, coefficients).derivative(t))(
        path.ts, path.coefficients, t[:, 0]
    )
