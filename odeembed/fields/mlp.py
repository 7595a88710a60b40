"""A multilayer perceptron as vector field, dy/dt = W_n tanh(... W_1 [y, t] ...)."""

import math
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

ACTIVATIONS = {"tanh": jnp.tanh, "softplus": nn.softplus, "gelu": nn.gelu}
STEEPEST = {"tanh": 1.0, "softplus": 1.0, "gelu": 1.129}  # of jax's gelu, by tanh: 1.12899...


class MLPField(nn.Module):
    """dy/dt = MLP([y, c, t]), of which c and t are left out where they are not asked for.

    The output layer is as wide as the state.

    Attributes:
      hidden: widths of the hidden layers.
      time: whether t is appended to the state, which makes the field non-autonomous.
      condition: whether the context, float [*b, c], is appended too.
      activation: tanh and softplus keep the field smooth and the steps of an adaptive solver long.
      size_at_start: factor of the output layer's first kernel. With 0 nothing moves before the first update, and that
        layer still has a gradient, as it would not behind a gate that is shut.

    References:
      Chen et al. 2018, Neural Ordinary Differential Equations, eq. (2).
    """

    hidden: tuple[int, ...] = (64,)
    time: bool = False
    activation: Literal["tanh", "softplus", "gelu"] = "tanh"
    size_at_start: float = 1.0
    condition: bool = False
    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The derivative at time t; [*b, d] like y."""
        activation = ACTIVATIONS[self.activation]
        x = jnp.concatenate([y, context], axis=-1) if self.condition else y
        if self.time:
            x = jnp.concatenate([x, jnp.broadcast_to(t, (*y.shape[:-1], 1)).astype(y.dtype)], axis=-1)
        for width in self.hidden:
            x = activation(nn.Dense(width)(x))
        lecun = nn.initializers.lecun_normal()
        return nn.Dense(y.shape[-1], kernel_init=lambda *args: self.size_at_start * lecun(*args))(x)

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""]:
        """An upper bound of the Lipschitz constant in y (2-norm), for all y and t: the product of the layers'.

        A layer's is the largest singular value of its kernel times the steepest slope of its activation. What is
        appended to the state is no part of it.

        Args:
          radius: not looked at; the bound holds everywhere.

        References:
          Gouk et al. 2021, Regularisation of Neural Networks by Enforcing Lipschitz Continuity.
        """
        kernels = [layer["kernel"] for layer in self._layers()]
        kernels[0] = kernels[0][: kernels[-1].shape[1]]
        steepest = STEEPEST[self.activation] ** len(self.hidden)
        return steepest * jnp.prod(jnp.stack([jnp.linalg.norm(kernel, 2) for kernel in kernels]))

    def bound(self, radius: float = 1.0) -> Float[Array, " d"] | float:
        """Upper bounds of |dy_i/dt| for |y_i| <= radius and whatever is appended, by interval arithmetic.

        Returns:
          math.inf where something is appended and nothing bounds what follows: softplus, gelu, or no hidden layer.
        """
        appended = self.time or self.condition
        if appended and (self.activation != "tanh" or not self.hidden):
            return math.inf
        *inner, last = self._layers()
        size = jnp.full(last["bias"].shape, radius)
        for i, layer in enumerate(inner):
            if appended and i == 0:
                size = jnp.ones(layer["bias"].shape)  # |tanh| <= 1
                continue
            size = size @ jnp.abs(layer["kernel"]) + jnp.abs(layer["bias"])
            # Of |x| <= size: softplus rises throughout, and |gelu(x)| <= |x|.
            size = {"tanh": jnp.tanh, "softplus": nn.softplus, "gelu": lambda x: x}[self.activation](size)
        return size @ jnp.abs(last["kernel"]) + jnp.abs(last["bias"])

    def _layers(self):
        params = self.variables["params"]
        return [params[f"Dense_{i}"] for i in range(len(self.hidden) + 1)]
