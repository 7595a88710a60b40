"""The gated recurrent unit as vector field: GRU-ODE."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class GRUField(nn.Module):
    """dh/dt = (1 - z) * (u - h), the autonomous GRU-ODE; h stays in (-1, 1)^d when it starts there.

    With gates r = sigmoid(W_r h + b_r), z = sigmoid(W_z h + b_z) and candidate u = tanh(W_u (r * h) + b_u).

    References:
      De Brouwer et al. 2019, GRU-ODE-Bayes, eq. (3), with no input.
    """

    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The derivative at state y; t and context are not looked at."""
        d = y.shape[-1]
        r, z = jnp.split(nn.sigmoid(nn.Dense(2 * d, name="gates")(y)), 2, axis=-1)
        u = jnp.tanh(nn.Dense(d, name="candidate")(r * y))
        return (1 - z) * (u - y)
