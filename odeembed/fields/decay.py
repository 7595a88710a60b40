"""Exponential decay as vector field."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class DecayField(nn.Module):
    """dy/dt = -softplus(rate) y: each coordinate falls to 0 at a rate of its own, which is learned.

    References:
      Mozer et al. 2017, Discrete Event, Continuous Time RNNs, for rates of a recurrent network's state; Che et al.
      2018, Recurrent Neural Networks for Multivariate Time Series with Missing Values, eq. (4), for those of the GRU-D.
    """

    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The derivative; like y. Neither t nor the context is looked at."""
        return -self._rates(self.param("rate", nn.initializers.constant(-2.0), (y.shape[-1],))) * y

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""]:
        """The largest rate."""
        return jnp.max(self._rates(self.variables["params"]["rate"]))

    def bound(self, radius: float = 1.0) -> Float[Array, " d"]:
        """Each rate times the radius."""
        return radius * self._rates(self.variables["params"]["rate"])

    def _rates(self, raw):
        return nn.softplus(raw)
