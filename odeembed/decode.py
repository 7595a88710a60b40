"""From distributions over words to words: filtering, sampling, and filling the gaps of a sentence by beam search."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from odeembed.errors import ConfigError


class Filling(NamedTuple):
    """One way to fill the gaps.

    Attributes:
      tokens: int [l], the sentence with all gaps filled.
      log_probability: of the words filled in, in nats, each given those filled in before it.
    """

    tokens: np.ndarray
    log_probability: float


def filter_logits(
    logits: Float[Array, "*b v"], temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Float[Array, "*b v"]:
    """Logits divided by the temperature, with -inf for words outside the `top_k` likeliest or the nucleus `top_p`.

    The likeliest word always stays.

    Raises:
      ConfigError: a temperature that is not positive, or top_p outside (0, 1].

    References:
      Holtzman et al. 2020, The Curious Case of Neural Text Degeneration, eq. (2), for the nucleus.
    """
    if temperature <= 0 or not 0 < top_p <= 1 or top_k < 0:
        raise ConfigError(
            f"temperature must be positive, top_p in (0, 1] and top_k 0 (all) or more; got {temperature}, {top_p} and "
            f"{top_k}."
        )
    logits = logits / temperature
    ranked = jnp.sort(logits, axis=-1)[..., ::-1]
    floor = jnp.full(logits.shape[:-1], -jnp.inf)
    if top_k:
        floor = ranked[..., min(top_k, logits.shape[-1]) - 1]
    if top_p < 1:
        mass_before = jnp.cumsum(jax.nn.softmax(ranked), axis=-1) - jax.nn.softmax(ranked)
        inside = jnp.sum(mass_before < top_p, axis=-1)
        floor = jnp.maximum(floor, jnp.take_along_axis(ranked, inside[..., None] - 1, axis=-1)[..., 0])
    return jnp.where(logits < floor[..., None], -jnp.inf, logits)


def sample(
    key: PRNGKeyArray,
    logits: Float[Array, "*b v"],
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
) -> Int[Array, "*b"]:
    """One word for each distribution, drawn after `filter_logits`."""
    return jax.random.categorical(key, filter_logits(logits, temperature, top_k, top_p))


def fill(
    log_probabilities: Callable[[np.ndarray, np.ndarray], np.ndarray],
    tokens: Int[np.ndarray, " l"],
    visible: Bool[np.ndarray, " l"],
    *,
    beam: int = 1,
    banned: tuple[int, ...] = (),
) -> list[Filling]:
    """Fills the gaps one by one, the surest first; each filled word is visible to those that follow.

    Args:
      log_probabilities: (tokens [k, l], visible [k, l]) -> [k, l, v], log-probabilities of the word at each place; k is
        always `beam`, so that one shape is compiled.
      tokens: the sentence; what stands in a gap is not looked at.
      visible: false in the gaps.
      beam: hypotheses kept after each word; 1 is greedy.
      banned: words never filled in.

    Returns:
      At most `beam` different fillings, likeliest first.
    """
    hypotheses = [(0.0, np.array(tokens), np.array(visible))]
    for _ in range(int((~np.asarray(visible)).sum())):
        rows = [hypotheses[min(i, len(hypotheses) - 1)] for i in range(beam)]
        scores = np.array(log_probabilities(np.stack([r[1] for r in rows]), np.stack([r[2] for r in rows])))
        scores[..., list(banned)] = -np.inf
        candidates = {}
        for (total, words, seen), score in zip(hypotheses, scores, strict=False):
            place = int(np.argmax(np.where(seen, -np.inf, score.max(axis=-1))))
            for word in np.argsort(-score[place], kind="stable")[:beam]:
                extended = words.copy()
                extended[place] = word
                now = seen.copy()
                now[place] = True
                # Two orders of filling may meet in one sentence; the likelier one stays.
                key = (extended.tobytes(), now.tobytes())
                candidate = (total + float(score[place, word]), extended, now)
                if key not in candidates or candidate[0] > candidates[key][0]:
                    candidates[key] = candidate
        hypotheses = sorted(candidates.values(), key=lambda c: -c[0])[:beam]
    return [Filling(words, total) for total, words, _ in hypotheses if total > -np.inf]
