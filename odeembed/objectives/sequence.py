"""The negative log-likelihood of a target given its source, and what keeps it from learning by heart."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean
from odeembed.models.seq2seq import target_of
from odeembed.objectives.rows import derived, row_keys, solver_means, weighted_mean
from odeembed.objectives.sentence_vae import Annealing
from odeembed.objectives.tokens import forced, sampled_nll, scaled_dropout, targets_of, token_nll

_SOURCE, _OWN, _DRAWN, _REPLACED, _OTHER = range(10, 15)  # beside those of `forced`, to fold keys with


@dataclasses.dataclass(frozen=True)
class SequenceNLL:
    """-log p(target | source) in nats a token, the end being one, the tokens before each being given.

    Attributes:
      label_smoothing: share of a target's probability that goes to all words alike; needs the full softmax.
      own_words: share of the tokens that are given as the model itself would draw them, by step (scheduled sampling):
        a first pass, without gradient, says which. None: never.
      word_dropout: share of the target's tokens that are not given.
      replaced: share of a source's tokens that are replaced by any word of the vocabulary, each as likely, where the
        source is what is to be said again. Rare words are then learned as well as others, and no sentence by heart.
      dropout: share of the entries of the inputs on both sides, and of the read-outs, that are set to zero, others
        scaled up.
      negatives: number of words drawn for a sampled softmax while training; 0 for the full one.

    Raises:
      ConfigError: a share outside [0, 1), or label smoothing with a sampled softmax.

    References:
      Szegedy et al. 2016, Rethinking the Inception Architecture, section 7, for the smoothing; Bengio et al. 2015,
      Scheduled Sampling; Mihaylova and Martins 2019, Scheduled Sampling for Transformers, for its two passes.
    """

    label_smoothing: float = 0.0
    own_words: Annealing | None = None
    word_dropout: float = 0.0
    replaced: float = 0.0
    dropout: float = 0.0
    negatives: int = 0

    def __post_init__(self):
        for name in ("label_smoothing", "word_dropout", "replaced", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is a share in [0, 1); got {getattr(self, name)}.")
        if self.own_words is not None and max(self.own_words.start, self.own_words.end) > 1:
            raise ConfigError(f"own_words is a share of at most 1; got {self.own_words}.")
        if self.label_smoothing and self.negatives:
            raise ConfigError("label smoothing needs the full softmax. Set --objective.negatives 0.")

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch.

        Raises:
          ConfigError: words are to be replaced in pairs, where the target would not follow.
        """
        if self.replaced and batch.target is not None:
            raise ConfigError(
                "replaced is for sources that are said again; these have targets of their own. Set "
                "--objective.replaced 0."
            )
        return jax.jit(model.init)(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """Training loss, nll in nats a token, and how the solver fared."""
        key = jax.random.fold_in(key, step)
        keys = row_keys(key, batch)
        if self.replaced:
            batch = batch._replace(values=self._with_others(model, batch, keys))
        target, scale = target_of(batch), None
        if self.dropout:
            shape = (*batch.mask.shape[1:], model.embed_dim)
            scale = scaled_dropout(derived(keys, _SOURCE), shape, self.dropout)
        heard = model.apply({"params": params}, batch, scale, method="encode")
        given = target
        if self.own_words is not None:
            given = self._mixed(model, params, heard, target, keys, self.own_words(step))
        out, states = forced(model, params, heard, given, keys, self.word_dropout, self.dropout)
        targets, real = targets_of(target)
        real = real & (batch.index >= 0)[:, None]
        smoothed = 0.0
        if self.negatives:
            key = jax.random.fold_in(key, 2**31 - 1)
            nll = sampled_nll(model, params, states, targets, self.negatives, key, end=0)
        else:
            logits = model.apply({"params": params}, states, method="logits")
            total = jax.nn.logsumexp(logits, axis=-1)
            nll = total - jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
            smoothed = self.label_smoothing * (total - jnp.mean(logits, axis=-1) - nll)
        loss = weighted_mean(nll + smoothed, real)
        means = {"nll": weighted_mean(nll, real), **solver_means(out, batch, heard)}
        if out.penalty is not None:
            rows = batch.index >= 0
            means["penalty"] = weighted_mean(out.penalty, rows)
            loss = Mean(loss.total + jnp.sum(jnp.where(rows, out.penalty, 0.0)), loss.count)
        return {"loss": loss, **means}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """Held-out nll a token, how often tokens are right, and whole sentences.

        A token is right if it is the likeliest, the true ones before it being given. Where all are, that is what greedy
        decoding says too.
        """
        target = target_of(batch)
        heard = model.apply({"params": params}, batch, method="encode")
        out, states = forced(model, params, heard, target)
        targets, real = targets_of(target)
        rows = batch.index >= 0
        nll, above = token_nll(model, params, states, targets)
        right = (above < 1) | ~real
        real = real & rows[:, None]
        return {
            "nll": weighted_mean(nll, real),
            "accuracy": weighted_mean(right, real),
            "exact": weighted_mean(jnp.all(right, axis=1), rows),
            **solver_means(out, batch, heard),
        }

    def _with_others(self, model, batch, keys):
        """The source with some of its tokens replaced; never by <pad>, which is the end."""
        shape = batch.values.shape[1:]
        chosen = jax.vmap(lambda key: jax.random.bernoulli(key, self.replaced, shape))(
            derived(keys, _REPLACED)
        )
        drawn = jax.vmap(lambda key: jax.random.randint(key, shape, 1, model.vocab_size))(
            derived(keys, _OTHER)
        )
        values = jnp.where(chosen & batch.mask, drawn, batch.values)
        return values.astype(batch.values.dtype)

    def _mixed(self, model, params, heard, target, keys, share):
        """The target with some tokens as the model would draw them, its own ones before each being given."""
        params, heard = jax.lax.stop_gradient((params, heard))
        states = forced(model, params, heard, target)[1][:, :-1]
        logits = model.apply({"params": params}, states, method="logits")
        drawn = jax.vmap(jax.random.categorical)(derived(keys, _DRAWN), logits)
        chosen = jax.vmap(lambda key: jax.random.bernoulli(key, share, drawn.shape[1:]))(derived(keys, _OWN))
        values = jnp.where(chosen & target.mask, drawn, target.values)
        return target._replace(values=values.astype(target.values.dtype))
