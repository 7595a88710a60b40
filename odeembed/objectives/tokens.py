"""What the objectives of text share: teacher forcing, and log-likelihoods of tokens."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.objectives.rows import derived, row_keys

_WORDS, _INPUTS, _OUTPUTS = range(1, 4)  # what a sentence's key is folded with


def forced(
    model: Any,
    params: Any,
    context: Any,
    batch: Batch,
    keys: Key[Array, " b"] | None = None,
    word_dropout: float = 0.0,
    dropout: float = 0.0,
) -> tuple[Any, Float[Array, "b k e"]]:
    """What a `Speaker` makes of a context and the tokens of `batch` (teacher forcing): `Decoded`, and its read-outs.

    Args:
      keys: of the dropouts, one a sentence.
      word_dropout: share of the tokens that the decoder is not shown.
      dropout: share of the entries of its inputs and read-outs that are set to zero, others scaled up.
    """
    apply = lambda method, *args: model.apply({"params": params}, *args, method=method)  # noqa: E731
    seen = scale = None
    if keys is None:
        keys = row_keys(jax.random.key(0), batch)  # nothing is drawn
    if word_dropout:
        seen = _kept(derived(keys, _WORDS), batch.mask.shape[1:], word_dropout)
    if dropout:
        scale = scaled_dropout(derived(keys, _INPUTS), (*batch.mask.shape[1:], model.embed_dim), dropout)
    out = apply("decode", context, batch, seen, scale)
    states = apply("read", out.states, context)
    if dropout:
        states = states * scaled_dropout(derived(keys, _OUTPUTS), states.shape[1:], dropout)
    return out, states


def scaled_dropout(keys: Key[Array, " b"], shape: tuple[int, ...], share: float) -> Float[Array, "b ..."]:
    """Factors [b, *shape] of a dropout: 0 with probability `share`, else 1 / (1 - share).

    References:
      Srivastava et al. 2014, Dropout, section 10, for the scale while training.
    """
    return _kept(keys, shape, share) / (1 - share)


def targets_of(batch: Batch) -> tuple[Any, Any]:
    """What a decoder's states are to predict, int [b, l + 1]: the tokens, then <pad> for the end; and which count."""
    targets = jnp.pad(jnp.where(batch.mask, batch.values, 0), ((0, 0), (0, 1)))
    return targets, jnp.pad(batch.mask, ((0, 0), (1, 0)), constant_values=True)


def token_nll(
    model: Any, params: Any, states: Float[Array, "*b e"], targets: Int[Array, "*b"]
) -> tuple[Float[Array, "*b"], Int[Array, "*b"]]:
    """Cross-entropy of the targets given read-outs, in nats, and how many words are likelier than each."""
    logits = model.apply({"params": params}, states, method="logits")
    truth = jnp.take_along_axis(logits, targets[..., None], axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - truth[..., 0], jnp.sum(logits > truth, axis=-1)


def sampled_nll(
    model: Any,
    params: Any,
    states: Float[Array, "*b e"],
    targets: Int[Array, "*b"],
    negatives: int,
    key: PRNGKeyArray,
    end: int | None = None,
) -> Float[Array, "*b"]:
    """-log softmax over the target and shared negatives, each logit less the log of how often its word is there.

    The words are numbered by falling count, so that q is Zipf's law, log-uniform in the number: no table is needed. A
    negative stands there negatives * q times on average, in as many copies; the target counts once, so from its logit
    goes the log of the probability 1 - (1 - q)^negatives that the word is among the drawn at all.

    Args:
      negatives: number of words drawn.
      end: a word that is no word of the text and so has no place in that order; it is always there, once.

    References:
      Jean et al. 2015, eq. (10).
    """
    v = model.vocab_size
    u = jax.random.uniform(key, (negatives,))
    drawn = jnp.clip(jnp.floor(jnp.exp(u * jnp.log(v))).astype(jnp.int32), 1, v - 1)
    q = lambda ids: jnp.log1p(1 / jnp.maximum(ids, 1)) / jnp.log(v)  # noqa: E731
    present = -jnp.expm1(negatives * jnp.log1p(-q(targets)))
    apply = lambda method, *args: model.apply({"params": params}, *args, method=method)  # noqa: E731
    often = negatives * q(drawn)
    if end is not None:
        present = jnp.where(targets == end, 1.0, present)
        drawn, often = jnp.append(drawn, end), jnp.append(often, 1.0)
    truth = apply("logit_of_each", states, targets) - jnp.log(present)
    others = apply("logits_of", states, drawn) - jnp.log(often)
    others = jnp.where(drawn == targets[..., None], -1e30, others)
    return jnp.logaddexp(truth, jax.nn.logsumexp(others, axis=-1)) - truth


def _kept(keys, shape, share):
    return jax.vmap(lambda key: jax.random.bernoulli(key, 1 - share, shape))(keys)
