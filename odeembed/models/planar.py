"""Planar flows: the discrete twin of a continuous flow, a chain of simple maps whose determinants are known."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.models.flow import FlowDensity


class PlanarFlow(nn.Module):
    """base = f_K(... f_1(x)) with f(x) = x + u tanh(w.x + b), so that densities of points are exact in one pass.

    Its inverse has no closed form: it draws nothing. u is bent so that w.u > -1, without which f is not invertible.

    Attributes:
      layers: K.

    References:
      Rezende and Mohamed 2015, Variational Inference with Normalizing Flows, eq. (10) to (12) and appendix A.1.
    """

    layers: int = 64

    @nn.compact
    def log_prob(
        self, x: Float[Array, "b d"], context: Any = None, keys: Any = None, trace: Any = None
    ) -> FlowDensity:
        """The density at x; the other arguments are for flows that need them."""
        shape = (self.layers, x.shape[-1])
        small = nn.initializers.normal(0.1)
        w = self.param("w", nn.initializers.normal(1.0), shape)
        u, b = self.param("u", small, shape), self.param("b", small, shape[:1])
        along = jnp.sum(w * u, axis=1)
        u = u + ((jax.nn.softplus(along) - 1 - along) / (jnp.sum(w * w, axis=1) + 1e-6))[:, None] * w

        def layer(carry, one):
            y, log_det = carry
            w, u, b = one
            h = jnp.tanh(y @ w + b)
            return (y + h[:, None] * u, log_det + jnp.log1p((1 - h**2) * (w @ u))), None

        (base, log_det), _ = jax.lax.scan(layer, (x, jnp.zeros(x.shape[:-1])), (w, u, b))
        log_prob = jnp.sum(jax.scipy.stats.norm.logpdf(base), axis=-1) + log_det
        return FlowDensity(log_prob, base, x, -log_det, {}, jnp.zeros(x.shape[0], bool))
