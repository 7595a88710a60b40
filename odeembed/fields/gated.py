"""A field behind a gate: each coordinate decides how fast it moves."""

import math
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.fields.mlp import MLPField


class Gated(nn.Module):
    """dy/dt = sigmoid(W y + b) * f(t, y, context).

    Attributes:
      field: the vector field f behind the gate.
      open_at_start: bias b; positive values start with an open gate.
    """

    field: nn.Module = MLPField()
    open_at_start: float = 1.0
    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The gated derivative; [*b, d] like y."""
        bias = nn.initializers.constant(self.open_at_start)
        gate = nn.sigmoid(nn.Dense(y.shape[-1], bias_init=bias, name="gate")(y))
        return gate * self.field(t, y, context)

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""] | float:
        """An upper bound of the Lipschitz constant in y (2-norm) on the cube |y_i| <= radius.

        With g the gate, df/dy = diag(g) df_inner/dy + diag(f_inner g (1 - g)) W, g < 1 and g (1 - g) <= 1/4.

        Returns:
          math.inf where the inner field has no bound itself, of its slope or of its values.
        """
        slope, size = self.field.lipschitz(radius), self.field.bound(radius)
        if isinstance(slope, float) or isinstance(size, float):  # math.inf
            return math.inf
        return slope + jnp.linalg.norm(self.variables["params"]["gate"]["kernel"] * size, 2) / 4

    def bound(self, radius: float = 1.0) -> Float[Array, " d"] | float:
        """Upper bounds of |dy_i/dt|: those of the field behind the gate."""
        return self.field.bound(radius)
