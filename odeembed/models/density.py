"""Density estimators: points to log-densities, by a continuous flow or by its discrete twin."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.models.flow import ContinuousFlow, FlowDensity
from odeembed.models.planar import PlanarFlow
from odeembed.solve.config import Solution


class DensityEstimator(nn.Module):
    """log p of points [b, d].

    Attributes:
      flow: a `ContinuousFlow`, or a `PlanarFlow`, which gives densities but draws nothing.
      width: d.

    References:
      Chen et al. 2018, section 4; Grathwohl et al. 2019, FFJORD.
    """

    flow: ContinuousFlow | PlanarFlow = ContinuousFlow()
    width: int = 2

    def __call__(self, batch: Batch, keys: Key[Array, " b"] | None = None) -> FlowDensity:
        """The density at a batch's points: without keys by the exact trace, with one a point by the flow's own."""
        return self.log_prob(jnp.asarray(batch.values), keys)

    def log_prob(self, x: Float[Array, "b d"], keys: Key[Array, " b"] | None = None) -> FlowDensity:
        """The density at points, likewise."""
        return self.flow.log_prob(x, None, keys, "exact" if keys is None else None)

    def forward(self, base: Float[Array, "b d"]) -> FlowDensity:
        """The point to which each base is carried, and the density there by the exact trace.

        Raises:
          ConfigError: the flow has no way forward.
        """
        return self._continuous().forward(base, trace="exact")

    def sample(self, keys: Key[Array, " b"]) -> FlowDensity:
        """One point a key, and the density there; raises as `forward` does."""
        return self._continuous().sample(keys, self.width)

    def transport(self, y: Float[Array, "b d"], ts: Float[Array, " n"]) -> Solution:
        """States [b, n, d] at the times ts, the first of which is y's: 0 for a base, the flow's length for a point."""
        return self._continuous().transport(y, jnp.asarray(ts))

    def _continuous(self) -> ContinuousFlow:
        if not isinstance(self.flow, ContinuousFlow):
            raise ConfigError(
                f"{type(self.flow).__name__} gives densities and draws nothing: its inverse has no closed form. Use a "
                f"ContinuousFlow."
            )
        return self.flow
