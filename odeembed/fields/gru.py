"""The gated recurrent unit as vector field: GRU-ODE."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.fields.waves import waves


class GRUField(nn.Module):
    """dh/dt = (1 - z) * (u - h), the GRU-ODE; h stays in (-1, 1)^d when it starts there.

    With gates r = sigmoid(W_r [h, x] + b_r), z = sigmoid(W_z [h, x] + b_z), candidate u = tanh(W_u [r * h, x] + b_u).
    There is no input x, and the field is autonomous, unless the attributes say otherwise.

    Attributes:
      waves: periods 2, 4, ..., 2^waves of which sine and cosine of the time are part of x; 0: none.
      condition: whether the context, float [*b, c], is part of x.

    References:
      De Brouwer et al. 2019, GRU-ODE-Bayes, eq. (3).
    """

    waves: int = 0
    condition: bool = False
    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The derivative at state y."""
        d = y.shape[-1]
        x = [context] if self.condition else []
        if self.waves:
            x.append(waves(jnp.broadcast_to(t, (*y.shape[:-1], 1)).astype(y.dtype), self.waves))
        r, z = jnp.split(nn.sigmoid(nn.Dense(2 * d, name="gates")(_joined(y, *x))), 2, axis=-1)
        u = jnp.tanh(nn.Dense(d, name="candidate")(_joined(r * y, *x)))
        return (1 - z) * (u - y)

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""]:
        """An upper bound of the Lipschitz constant in h (2-norm) on the cube |h_i| <= radius.

        On all of R^d there is none: r * h and z * (u - h) are products of a gate and a state that grow without bound
        in steepness. With u - h at most 1 + radius in any coordinate, s(1 - s) <= 1/4 for a sigmoid s, tanh' <= 1,

          du/dh = diag(1 - u^2) W_u (diag(r) + diag(h r (1 - r)) W_r),
          df/dh = diag(1 - z) (du/dh - I) - diag((u - h) z (1 - z)) W_z,

        and |.| the largest singular value: 1 + |W_u| (1 + radius |W_r| / 4) + (1 + radius) |W_z| / 4. The cube is
        convex, so that what bounds the Jacobian bounds the differences; with radius 1 no path leaves it.
        """
        params = self.variables["params"]
        d = params["candidate"]["bias"].shape[0]  # the rows of a kernel after these are those of x
        w_r, w_z = (jnp.linalg.norm(w, 2) for w in jnp.split(params["gates"]["kernel"][:d], 2, axis=1))
        w_u = jnp.linalg.norm(params["candidate"]["kernel"][:d], 2)
        return 1 + w_u * (1 + radius * w_r / 4) + (1 + radius) * w_z / 4

    def bound(self, radius: float = 1.0) -> Float[Array, " d"]:
        """Upper bounds of |dh_i/dt| for |h_i| <= radius."""
        return jnp.full(self.variables["params"]["candidate"]["bias"].shape, 1 + radius)


def _joined(y, *x):
    return jnp.concatenate([y, *x], axis=-1) if x else y
