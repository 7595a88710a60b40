"""What the objectives of text share: log-likelihoods of tokens, the noise of a sentence, sums over what counts."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.mean import Mean


def sentence_keys(key: PRNGKeyArray, batch: Batch) -> Key[Array, " b"]:
    """The noise of a sentence by its number alone: it does not depend on the batch or the devices it is in."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(batch.index)


def derived(keys: Key[Array, " b"], number: int | Int[Array, ""]) -> Key[Array, " b"]:
    """Keys of other noise for the same sentences."""
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


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


def weighted_mean(values: Float[Array, "*b"] | Bool[Array, "*b"], weight: Bool[Array, "*b"]) -> Mean:
    """The mean over the entries that count."""
    return Mean(jnp.sum(jnp.where(weight, values, 0.0)), jnp.sum(weight, dtype=jnp.float32))


def solver_means(out: Any, batch: Batch) -> dict[str, Mean]:
    """Means over the real rows of a model's output: the share of failed solves, and the solver's counts."""
    real = batch.index >= 0
    counts = {"failed": out.failed, **out.stats}
    return {
        f"solver/{name}": Mean(
            jnp.sum(jnp.where(real, count, 0), dtype=jnp.float32), jnp.sum(real, dtype=jnp.float32)
        )
        for name, count in counts.items()
    }
