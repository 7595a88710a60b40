"""Sentence VAE: a recurrent encoder, a Gaussian code, and a decoder whose states flow."""

import copy
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from odeembed.batch import Batch
from odeembed.models.decoders import Decoded, FlowDecoder, JumpDecoder, Speaker
from odeembed.models.encoders import JumpFlow, last_states
from odeembed.models.flow import ContinuousFlow
from odeembed.models.posterior import Posterior, normal_log_prob


class Code(NamedTuple):
    """A code of each sentence, with all that its bound needs.

    Attributes:
      z: float [b, d].
      log_posterior: float [b], log q(z | x) in nats.
      failed: bool [b].
    """

    z: Any
    log_posterior: Any
    failed: Any


class SentenceVAE(Speaker):
    """Sentences to codes and back. Word <pad> stands for the end of a sentence, so that its length is modelled too.

    Attributes:
      encoder: reads the sentence in both directions; with a field the ODE-RNN, without one the bidirectional GRU.
      decoder: autoregressive (`JumpDecoder`) or inputless (`FlowDecoder`), or a twin of either.
      prior: a continuous flow that carries the standard normal to the codes; None: codes are standard normal.
      posterior_flow: one that carries the encoder's Gaussian to the posterior; None: the posterior is that Gaussian.
      latent: d, width of the code; None: there is none, and the model is a language model, its encoder unused.

    References:
      Bowman et al. 2016, Generating Sentences from a Continuous Space; Kingma and Welling 2014, eq. (10).
    """

    embed_dim: int = 256
    encoder: JumpFlow = JumpFlow(hidden=256, field=None)
    decoder: JumpDecoder | FlowDecoder = JumpDecoder()
    latent: int | None = 32
    prior: ContinuousFlow | None = None
    posterior_flow: ContinuousFlow | None = None

    def __post_init__(self):
        # linen takes one object in two places for one module with one set of parameters, JSON for two.
        if self.prior is not None and self.prior is self.posterior_flow:
            object.__setattr__(self, "posterior_flow", copy.deepcopy(self.prior))
        super().__post_init__()

    def setup(self):
        """The map from the encoder's last states to mean and spread."""
        super().setup()
        if self.latent:
            self.moments = nn.Dense(2 * self.latent)

    def __call__(self, batch: Batch) -> Decoded:
        """The decoder's states at the means of the posterior."""
        self.touch_tables()
        batch = jax.tree.map(jnp.asarray, batch)
        z = self.mean_code(self.posterior(batch)) if self.latent else self.no_code(batch)
        out = self.decode(z, batch)
        if self.is_initializing():
            self.read_out(out.states)
            if self.latent:
                self.log_prior(z)
        return out

    def posterior(self, batch: Batch) -> Posterior:
        """q(z | x) from the states after the last token and, backward, after the first."""
        flow = self.encoder(self.embed(batch.values), batch.times, batch.mask, batch.mask)
        ends = last_states(flow, self.encoder.directions, batch.mask)
        mean, log_std = jnp.split(self.moments(ends), 2, axis=-1)
        return Posterior(mean, log_std, flow.stats, flow.failed)

    def code(self, posterior: Posterior, noise: Float[Array, "b d"]) -> Code:
        """A code of each sentence from standard normal noise."""
        z = posterior.sample(noise)
        log_prob = posterior.log_prob(z)
        if self.posterior_flow is None:
            return Code(z, log_prob, posterior.failed)
        carried = self.posterior_flow.forward(z)
        return Code(carried.x, log_prob - carried.log_det, posterior.failed | carried.failed)

    def mean_code(self, posterior: Posterior) -> Float[Array, "b d"]:
        """The code at the mean of the encoder's Gaussian."""
        mean = posterior.mean
        return mean if self.posterior_flow is None else self.posterior_flow.forward(mean).x

    def no_code(self, batch: Batch) -> Float[Array, "b 1"]:
        """What a model without a latent is given in place of a code: the constant 1."""
        return jnp.ones((batch.mask.shape[0], 1))

    def log_prior(self, z: Float[Array, "b d"]) -> Float[Array, "b"]:
        """Log-density of codes under the prior, in nats."""
        return normal_log_prob(z) if self.prior is None else self.prior.log_prob(z).log_prob

    def prior_sample(self, key: Key[Array, ""], count: int) -> Float[Array, "n d"]:
        """Codes drawn from the prior."""
        return self.from_base(jax.random.normal(key, (count, self.latent or 1)))

    def to_base(self, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The points of the prior's flow at its beginning that are carried to the codes z."""
        return z if self.prior is None else self.prior.log_prob(z).base

    def from_base(self, base: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The codes to which points at the beginning of the prior's flow are carried."""
        return base if self.prior is None else self.prior.forward(base).x
