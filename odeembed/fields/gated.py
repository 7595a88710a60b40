"""A field behind a gate: each coordinate decides how fast it moves."""

from typing import Any, ClassVar

import flax.linen as nn
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
