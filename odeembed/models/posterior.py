"""The posterior of a code: a diagonal Gaussian, its density, and its divergence from the standard normal."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Posterior(NamedTuple):
    """q(z | x), a diagonal Gaussian, with the encoder's counts and failures a row.

    Attributes:
      mean: float [b, d].
      log_std: float [b, d], natural logarithm of the standard deviation.
    """

    mean: Any
    log_std: Any
    stats: dict[str, Any]
    failed: Any

    def sample(self, noise: Float[Array, "*s b d"]) -> Float[Array, "*s b d"]:
        """Codes from standard normal noise."""
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob(self, z: Float[Array, "*s b d"]) -> Float[Array, "*s b"]:
        """Log-density of codes, in nats."""
        return normal_log_prob((z - self.mean) * jnp.exp(-self.log_std)) - self.log_std.sum(-1)

    def kl_by_dimension(self) -> Float[Array, "b d"]:
        """KL(q || N(0, I)) of each dimension, in nats.

        References:
          Kingma and Welling 2014, Auto-Encoding Variational Bayes, appendix B.
        """
        return 0.5 * (jnp.square(self.mean) + jnp.exp(2 * self.log_std) - 1) - self.log_std


def normal_log_prob(x: Float[Array, "*b d"]) -> Float[Array, "*b"]:
    """Log-density of the standard normal, in nats, summed over d."""
    return -0.5 * jnp.sum(jnp.square(x) + math.log(2 * math.pi), axis=-1)
