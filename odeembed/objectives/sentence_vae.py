"""The evidence lower bound of sentences, and what keeps its code from being ignored."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean
from odeembed.objectives.flow_matching import flow_matching_loss
from odeembed.objectives.rows import derived, row_keys, solver_means, weighted_mean
from odeembed.objectives.tokens import forced, sampled_nll, targets_of, token_nll

_CODE, _FLOW = 0, 4  # what a sentence's key is folded with, beside the numbers of `forced`


@dataclasses.dataclass(frozen=True)
class Annealing:
    """A weight by step: `start` for `hold` steps, then in a straight line to `end` within `rise` steps.

    Attributes:
      start, end: the weight before and after.
      hold: steps at `start`; with start 0 the model is trained as an autoencoder first.
      rise: steps from `start` to `end`; 0: at once.
      cycle: after so many steps all begins anew; 0: never.

    References:
      Bowman et al. 2016, section 3.1; Fu et al. 2019, Cyclical Annealing Schedule, eq. (6) and (7); Li et al. 2019, A
      Surprisingly Effective Fix for Deep Latent Variable Modeling of Text, for the training as an autoencoder first.
    """

    start: float = 0.0
    end: float = 1.0
    hold: int = 0
    rise: int = 1000
    cycle: int = 0

    def __post_init__(self):
        if min(self.start, self.end, self.hold, self.rise, self.cycle) < 0:
            raise ConfigError(f"weights and steps of an annealing are at least 0; got {self}.")

    def __call__(self, step: Any) -> Any:
        """The weight at a step."""
        at = step % self.cycle if self.cycle else step
        risen = jnp.clip((at - self.hold + 1) / max(self.rise, 1), 0.0, 1.0)
        return self.start + (self.end - self.start) * jnp.where(at < self.hold, 0.0, risen)


@dataclasses.dataclass(frozen=True)
class SentenceELBO:
    """Minus the evidence lower bound, in nats a sentence: -E_q log p(x | z) + weight * KL(q(z | x) || p(z)).

    A sentence's tokens are its words and its end. Without a latent this is the negative log-likelihood of a language
    model.

    Attributes:
      annealing: the weight of the KL term.
      free_bits: nats below which the KL term of a sentence costs no less: a gradient of zero.
      free_bits_by: whether that holds of each dimension of the code or of their sum.
      deterministic: the code is the posterior's mean, and there is no KL term: an autoencoder.
      word_dropout: share of the words that the decoder is not shown.
      dropout: share of the entries of the decoder's inputs and read-outs that are set to zero, others scaled up.
      negatives: number of words drawn for a sampled softmax while training; 0 for the full one.

    Raises:
      ConfigError: a share outside [0, 1), or free bits below 0.

    References:
      Kingma and Welling 2014, eq. (3); Kingma et al. 2016, Inverse Autoregressive Flow, appendix C.8, for the free
      bits; Bowman et al. 2016, section 3.1, for the word dropout.
    """

    annealing: Annealing = Annealing()
    free_bits: float = 0.0
    free_bits_by: Literal["dimension", "sentence"] = "dimension"
    deterministic: bool = False
    word_dropout: float = 0.0
    dropout: float = 0.0
    negatives: int = 0

    def __post_init__(self):
        for name in ("word_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is a share in [0, 1); got {getattr(self, name)}.")
        if self.free_bits < 0:
            raise ConfigError(f"free_bits must be at least 0; got {self.free_bits}. 0 turns them off.")

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch.

        Raises:
          ConfigError: an autoencoder without a code, or free bits by dimension where a flow mixes the dimensions.
        """
        if self.free_bits and self.free_bits_by == "dimension" and not _is_gaussian(model):
            raise ConfigError(
                "with a flow there is no KL term of a dimension. Set --objective.free_bits_by sentence."
            )
        if self.deterministic and not model.latent:
            raise ConfigError("an autoencoder needs a code; got none. Set --model.latent 32.")
        return jax.jit(model.init)(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """Training loss, its two terms in nats a sentence, the weight, and how the solver fared."""
        key = jax.random.fold_in(key, step)
        keys = row_keys(key, batch)
        z, posterior, kl = self._code(model, params, batch, derived(keys, _CODE))
        out, states = forced(model, params, z, batch, keys, self.word_dropout, self.dropout)
        targets, real = targets_of(batch)
        if self.negatives:
            key = jax.random.fold_in(key, 2**31 - 1)
            nll = sampled_nll(model, params, states, targets, self.negatives, key, end=0)
        else:
            nll = token_nll(model, params, states, targets)[0]
        reconstruction = jnp.sum(jnp.where(real, nll, 0.0), axis=1)
        rows = batch.index >= 0
        means = {"reconstruction": weighted_mean(reconstruction, rows), **solver_means(out, batch, posterior)}
        loss = reconstruction
        if out.penalty is not None:
            loss = loss + out.penalty
            means["penalty"] = weighted_mean(out.penalty, rows)
        if kl is not None:
            weight = self.annealing(step)
            loss = loss + weight * self._freed(kl)
            means["kl"] = weighted_mean(kl.sum(-1), rows)
            means["kl_weight"] = weighted_mean(jnp.broadcast_to(weight, rows.shape), rows)
        return {"loss": weighted_mean(loss, rows), **means}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """Held-out bound in nats a sentence, its terms, nll (minus the bound) a token, and how often tokens are right.

        The bound is estimated from one code a sentence; of an autoencoder, which has no bound, nll is the
        reconstruction's. Accuracies are those of the likeliest token, the true ones before it being known.
        """
        z, posterior, kl = self._code(model, params, batch, derived(row_keys(key, batch), _CODE))
        out, states = forced(model, params, z, batch)
        targets, real = targets_of(batch)
        rows = batch.index >= 0
        real = real & rows[:, None]
        nll, above = token_nll(model, params, states, targets)
        reconstruction = jnp.sum(jnp.where(real, nll, 0.0), axis=1)
        kl = jnp.zeros(rows.shape) if kl is None else kl.sum(-1)
        tokens = jnp.sum(real, dtype=jnp.float32)
        return {
            "elbo": weighted_mean(-(reconstruction + kl), rows),
            "reconstruction": weighted_mean(reconstruction, rows),
            "kl": weighted_mean(kl, rows),
            "nll": Mean(jnp.sum(jnp.where(rows, reconstruction + kl, 0.0)), tokens),
            "accuracy": weighted_mean(above < 1, real),
            **solver_means(out, batch, posterior),
        }

    def _code(self, model, params, batch, keys):
        """A code of each sentence, the posterior or None, and the KL term [b, d], or [b, 1] with flows, or None."""
        if not model.latent:
            return model.no_code(batch), None, None
        posterior = model.apply({"params": params}, batch, method="posterior")
        if self.deterministic:
            return model.apply({"params": params}, posterior, method="mean_code"), posterior, None
        code = model.apply({"params": params}, posterior, _normal(keys, model.latent), method="code")
        posterior = posterior._replace(failed=code.failed)
        if _is_gaussian(model):
            return code.z, posterior, posterior.kl_by_dimension()
        prior = model.apply({"params": params}, code.z, method="log_prior")
        return code.z, posterior, (code.log_posterior - prior)[:, None]

    def _freed(self, kl: Float[Array, "b d"]) -> Float[Array, " b"]:
        if not self.free_bits:
            return kl.sum(-1)
        if self.free_bits_by == "dimension":
            return jnp.maximum(kl, self.free_bits).sum(-1)
        return jnp.maximum(kl.sum(-1), self.free_bits)


@dataclasses.dataclass(frozen=True)
class CodeFlowMatching:
    """Fits the flow that is a model's prior to the codes of its encoder, which stay as they are.

    Samples then come from where the codes are. Freeze all parameters but the prior's: nothing else has a gradient, but
    weight decay would move it.

    Attributes:
      deterministic: the codes are the posteriors' means, as those of an autoencoder.
      sigma_min: standard deviation around a code at which its way from the noise ends.

    References:
      Lipman et al. 2023, Flow Matching for Generative Modeling.
    """

    deterministic: bool = False
    sigma_min: float = 1e-4

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch.

        Raises:
          ConfigError: the model's prior is no flow.
        """
        if model.prior is None:
            raise ConfigError(
                "flow matching needs a flow as prior; the model has none. Give model.prior one."
            )
        return SentenceELBO().init(model, key, batch)

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """The loss of flow matching, by sentence."""
        keys = row_keys(jax.random.fold_in(key, step), batch)
        z, posterior, _ = self._bound()._code(model, params, batch, derived(keys, _CODE))
        loss = flow_matching_loss(
            model.prior,
            params["prior"],
            jax.lax.stop_gradient(z),
            derived(keys, _FLOW),
            sigma_min=self.sigma_min,
        )
        rows = batch.index >= 0
        return {"loss": weighted_mean(loss, rows), **solver_means(posterior, batch)}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """What `SentenceELBO` measures, the flow being the prior, and the negative log-density of a code."""
        keys = derived(row_keys(key, batch), _CODE)
        z, _, _ = self._bound()._code(model, params, batch, keys)
        density = model.apply({"params": params}, z, method="log_prior")
        found = self._bound().evaluate(model, params, batch, key)
        return found | {"prior_nll": weighted_mean(-density, batch.index >= 0)}

    def _bound(self):
        return SentenceELBO(deterministic=self.deterministic)


def importance_weighted_nll(
    model: Any, params: Any, batch: Batch, key: PRNGKeyArray, samples: int
) -> Float[Array, " b"]:
    """-log 1/K sum_k p(x, z_k) / q(z_k | x), z_k from q, in nats a sentence: at most minus the ELBO in the mean.

    Args:
      samples: K; one after the other, so that memory does not grow with it.

    References:
      Burda et al. 2016, Importance Weighted Autoencoders, eq. (8).
    """
    targets, real = targets_of(batch)

    def nll(z):
        states = forced(model, params, z, batch)[1]
        return jnp.sum(jnp.where(real, token_nll(model, params, states, targets)[0], 0.0), axis=1)

    if not model.latent:
        return nll(model.no_code(batch))
    posterior = model.apply({"params": params}, batch, method="posterior")
    keys = row_keys(key, batch)

    def log_weight(number):
        noise = _normal(derived(keys, number), model.latent)
        code = model.apply({"params": params}, posterior, noise, method="code")
        prior = model.apply({"params": params}, code.z, method="log_prior")
        return prior - nll(code.z) - code.log_posterior

    weights = jax.lax.map(log_weight, jnp.arange(samples))
    return jnp.log(samples) - jax.nn.logsumexp(weights, axis=0)


def _is_gaussian(model: Any) -> bool:
    """Whether posterior and prior are Gaussian, so that their divergence is known."""
    return model.prior is None and model.posterior_flow is None


def _normal(keys: Key[Array, " b"], width: int) -> Float[Array, "b d"]:
    return jax.vmap(lambda key: jax.random.normal(key, (width,)))(keys)
