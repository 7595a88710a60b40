"""A multilayer perceptron as vector field, dy/dt = W_n tanh(... W_1 [y, t] ...)."""

from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class MLPField(nn.Module):
    """dy/dt = MLP([y, t]); the output layer is as wide as the state.

    Attributes:
      hidden: widths of the hidden layers.
      time: whether t is appended to the state, which makes the field non-autonomous.
      activation: tanh and softplus keep the field smooth and the steps of an adaptive solver long.

    References:
      Chen et al. 2018, Neural Ordinary Differential Equations, eq. (2).
    """

    hidden: tuple[int, ...] = (64,)
    time: bool = False
    activation: Literal["tanh", "softplus", "gelu"] = "tanh"
    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The derivative at time t; [*b, d] like y."""
        activation = {"tanh": jnp.tanh, "softplus": nn.softplus, "gelu": nn.gelu}[self.activation]
        x = y
        if self.time:
            x = jnp.concatenate([y, jnp.broadcast_to(t, (*y.shape[:-1], 1)).astype(y.dtype)], axis=-1)
        for width in self.hidden:
            x = activation(nn.Dense(width)(x))
        return nn.Dense(y.shape[-1])(x)
