"""A multilayer perceptron whose layers are gated and shifted by the time: the field of FFJORD."""

import math
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.fields.mlp import ACTIVATIONS, STEEPEST


class ConcatSquashField(nn.Module):
    """dy/dt = L_n(a(... L_1(y, t) ...), t) of layers L(x, t) = (W x + b) sigmoid(u t + c) + v t.

    Attributes:
      hidden: widths of the hidden layers.
      activation: a; tanh and softplus keep the field smooth.
      size_at_start: factor of the last layer's W and v; with 0 nothing moves before the first update.

    References:
      Grathwohl et al. 2019, FFJORD; the layer is that of the authors' published code.
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    activation: Literal["tanh", "softplus", "gelu"] = "tanh"
    size_at_start: float = 1.0
    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The derivative at time t; [*b, d] like y. The context is not looked at."""
        time = jnp.broadcast_to(t, (*y.shape[:-1], 1)).astype(y.dtype)
        x, lecun = y, nn.initializers.lecun_normal()
        for i, width in enumerate((*self.hidden, y.shape[-1])):
            last = i == len(self.hidden)
            size = self.size_at_start if last else 1.0
            init = lambda *args, size=size: size * lecun(*args)  # noqa: E731
            x = nn.Dense(width, kernel_init=init, name=f"layer_{i}")(x)
            x = x * nn.sigmoid(nn.Dense(width, name=f"gate_{i}")(time))
            x = x + nn.Dense(width, use_bias=False, kernel_init=init, name=f"shift_{i}")(time)
            x = x if last else ACTIVATIONS[self.activation](x)
        return x

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""]:
        """An upper bound of the Lipschitz constant in y (2-norm), for all y and t: no gate exceeds 1.

        Args:
          radius: not looked at; the bound holds everywhere.
        """
        params = self.variables["params"]
        kernels = [params[f"layer_{i}"]["kernel"] for i in range(len(self.hidden) + 1)]
        steepest = STEEPEST[self.activation] ** len(self.hidden)
        return steepest * jnp.prod(jnp.stack([jnp.linalg.norm(kernel, 2) for kernel in kernels]))

    def bound(self, radius: float = 1.0) -> float:
        """None: the shift grows with time without end."""
        return math.inf
