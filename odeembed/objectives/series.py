"""What is minimised on irregular series: the bound of a latent path, or the error of what comes next."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean
from odeembed.models.series import ends_of
from odeembed.objectives.rows import derived, row_keys, solver_means, weighted_mean
from odeembed.objectives.sentence_vae import Annealing

_CODE, _TIME = range(2)  # what a series' key is folded with


@dataclasses.dataclass(frozen=True)
class SeriesELBO:
    """Minus the evidence lower bound, in nats a series: -E_q log p(x | z) + weight * KL(q(z | x) || N(0, I)).

    What is seen of a channel is normal around the path's mean, with one standard deviation for all.

    Attributes:
      noise: that standard deviation, in the model's units.
      annealing: the weight of the KL term.
      samples: codes a series and step.

    References:
      Chen et al. 2018, eq. (14); Rubanova et al. 2019, eq. (6).
    """

    noise: float = 0.1
    annealing: Annealing = Annealing(rise=0)
    samples: int = 1

    def __post_init__(self):
        _check_noise(self.noise)
        if self.samples < 1:
            raise ConfigError(f"samples must be at least 1; got {self.samples}.")

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch."""
        return jax.jit(model.init)(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """Training loss, its two terms in nats a series, the weight, and how the solver fared."""
        keys = derived(row_keys(jax.random.fold_in(key, step), batch), _CODE)
        out, posterior, reconstruction, kl = self._terms(model, params, batch, keys, self.samples)
        rows, weight = batch.index >= 0, self.annealing(step)
        loss = reconstruction + weight * kl
        means = {
            "reconstruction": weighted_mean(reconstruction, rows),
            "kl": weighted_mean(kl, rows),
            "kl_weight": weighted_mean(jnp.broadcast_to(weight, rows.shape), rows),
        }
        if out.penalty is not None:
            means["penalty"] = weighted_mean(out.penalty, rows)
            loss = loss + out.penalty
        return {"loss": weighted_mean(loss, rows), **means, **solver_means(out, batch, posterior)}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """Held-out bound in nats a series, its terms, by one code each, and `mse` of what is seen, by the mean code."""
        keys = derived(row_keys(key, batch), _CODE)
        _, _, reconstruction, kl = self._terms(model, params, batch, keys, 1)
        rows = batch.index >= 0
        return {
            "elbo": weighted_mean(-(reconstruction + kl), rows),
            "reconstruction": weighted_mean(reconstruction, rows),
            "kl": weighted_mean(kl, rows),
            **_held_out(model, params, batch),
        }

    def _terms(self, model, params, batch, keys, samples):
        """The decoder's output of the first code of each series, the posterior, and both terms [b]."""
        apply = lambda method, *args: model.apply({"params": params}, *args, method=method)  # noqa: E731
        at = _drawn(derived(keys, _TIME), batch) if model.anywhere else None
        posterior = apply("posterior", batch, at)
        noise = jax.vmap(lambda key: jax.random.normal(key, (samples, model.latent)), out_axes=1)(keys)
        z = posterior.sample(noise).reshape(-1, model.latent)
        times, mask = (jnp.tile(jnp.asarray(x), (samples, 1)) for x in (batch.times, batch.mask))
        out = apply("decode", z, times, mask, None if at is None else jnp.tile(at, samples))
        b = batch.index.shape[0]
        means = out.means.reshape(samples, b, *out.means.shape[1:])
        reconstruction = jnp.mean(jax.vmap(lambda mean: _nll(mean, batch, self.noise))(means), axis=0)
        first = jax.tree.map(lambda x: x[:b], out)
        first = first._replace(failed=jnp.any(out.failed.reshape(samples, b), axis=0))
        return first, posterior, reconstruction, posterior.kl_by_dimension().sum(-1)


@dataclasses.dataclass(frozen=True)
class NextObservation:
    """Minus the log-likelihood of what is seen, in nats a series, each time given all before it.

    Attributes:
      noise: standard deviation of what is seen around the mean, in the model's units.

    References:
      Rubanova et al. 2019, section 3.1.
    """

    noise: float = 0.1

    def __post_init__(self):
        _check_noise(self.noise)

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch."""
        return jax.jit(model.init)(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """Training loss, `mse` of what is seen, and how the solver fared."""
        out = model.apply({"params": params}, batch)
        rows = batch.index >= 0
        loss = _nll(out.means, batch, self.noise)
        means = {"mse": _mse(out.means, batch)}
        if out.penalty is not None:
            means["penalty"] = weighted_mean(out.penalty, rows)
            loss = loss + out.penalty
        return {"loss": weighted_mean(loss, rows), **means, **solver_means(out, batch)}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """`mse` of what is seen."""
        return _held_out(model, params, batch)


def _drawn(keys, batch):
    """A time [b] for each series, between its first and its last."""
    first, last = ends_of(jnp.asarray(batch.times), jnp.asarray(batch.mask))
    return first + jax.vmap(jax.random.uniform)(keys) * (last - first)


def _held_out(model, params, batch):
    out = model.apply({"params": params}, batch)
    return {"mse": _mse(out.means, batch), **solver_means(out, batch)}


def _seen(batch):
    return ~jnp.isnan(batch.values) & batch.mask[..., None] & (batch.index >= 0)[:, None, None]


def _errors(means, batch):
    """Squared distances from what was seen, 0 elsewhere; NaN nowhere, lest it reach a gradient."""
    seen = _seen(batch)
    return jnp.square(jnp.where(seen, means - jnp.where(seen, batch.values, 0.0), 0.0))


def _mse(means: Float[Array, "b n c"], batch: Batch) -> Mean:
    return Mean(jnp.sum(_errors(means, batch)), jnp.sum(_seen(batch), dtype=jnp.float32))


def _nll(means: Float[Array, "b n c"], batch: Batch, noise: float) -> Float[Array, " b"]:
    each = 0.5 * math.log(2 * math.pi * noise**2)
    count = jnp.sum(_seen(batch), axis=(1, 2))
    return jnp.sum(_errors(means, batch), axis=(1, 2)) / (2 * noise**2) + each * count


def _check_noise(noise: float) -> None:
    if not noise > 0:
        raise ConfigError(f"noise is a standard deviation above 0; got {noise}. Use 0.1.")
