"""From distributions over words to words: greedy, by beam search or drawn; and the gaps of a sentence filled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

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


def check_filter(temperature: float, top_k: int, top_p: float) -> None:
    """Refuses settings that `filter_logits` has no meaning for.

    Raises:
      ConfigError: a temperature that is not positive, top_k below 0, or top_p outside (0, 1].
    """
    if temperature <= 0 or not 0 < top_p <= 1 or top_k < 0:
        raise ConfigError(
            f"temperature must be positive, top_p in (0, 1] and top_k 0 (all) or more; got {temperature}, {top_p} and "
            f"{top_k}."
        )


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
    check_filter(temperature, top_k, top_p)
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


class Sequences(NamedTuple):
    """Sequences that were decoded.

    Attributes:
      tokens: int [b, n]; from the end of a sequence on, the end's id.
      lengths: int [b], tokens before the end; n where it was not reached.
      log_probability: float [b], of the tokens, and of the end where it was reached, in nats.
    """

    tokens: Any
    lengths: Any
    log_probability: Any


@dataclass(frozen=True)
class Decoding:
    """How sequences are decoded from the distributions of their next tokens.

    Attributes:
      beam: hypotheses kept; 1 is greedy.
      alpha: exponent of the length by which a finished hypothesis' log-probability is divided.
      sample: whether tokens are drawn; else the likeliest are taken.
      temperature, top_k, top_p: of a draw, as for `filter_logits`.

    Raises:
      ConfigError: a value outside its range, or a beam of draws.

    References:
      Wu et al. 2016, Google's Neural Machine Translation System, section 7, for the length normalisation.
    """

    beam: int = 1
    alpha: float = 0.0
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        if self.beam < 1 or (self.sample and self.beam > 1):
            raise ConfigError(f"beam must be at least 1, and 1 where tokens are drawn; got {self.beam}.")
        check_filter(self.temperature, self.top_k, self.top_p)


GREEDY = Decoding()


def decode(
    logits: Callable[[Any, Any], Float[Array, "b v"]],
    advance: Callable[[Any, Any, Int[Array, " b"], Any], Any],
    state: Any,
    steps: int,
    how: Decoding = GREEDY,
    *,
    context: Any = None,
    end: int = 0,
    banned: tuple[int, ...] = (),
    key: PRNGKeyArray | None = None,
) -> Sequences:
    """Decodes all rows side by side in one compiled loop, token by token until the end, for at most `steps` tokens.

    Args:
      logits: (state, context) -> the distribution of the next token; the leaves of both are [b, ...].
      advance: (state, context, tokens, i) -> state after token number i.
      context: what stays as it is, row by row.
      end: the token that ends a sequence.
      banned: tokens that are never chosen.
      key: of the draws.

    Raises:
      ConfigError: tokens are to be drawn, and there is no key.
    """
    if how.sample and key is None:
        raise ConfigError("draws need a random key; got none. Give one, such as jax.random.key(0).")
    rows = jax.tree.leaves(state)[0].shape[0]
    if how.beam > 1:
        return _beam(logits, advance, state, context, rows, steps, how, end, banned)

    def one(carry, i):
        state, ended, total = carry
        scores = _allowed(logits(state, context), banned)
        if key is not None and how.sample:
            tokens = sample(jax.random.fold_in(key, i), scores, how.temperature, how.top_k, how.top_p)
        else:
            tokens = jnp.argmax(scores, axis=-1)
        gain = jnp.take_along_axis(jax.nn.log_softmax(scores), tokens[:, None], axis=-1)[:, 0]
        tokens = jnp.where(ended, end, tokens).astype(jnp.int32)
        total = total + jnp.where(ended, 0.0, gain)
        ended = ended | (tokens == end)
        return (advance(state, context, tokens, i), ended, total), tokens

    # One place more than there may be tokens, for the end of the longest.
    first = state, jnp.zeros(rows, bool), jnp.zeros(rows)
    (_, _, total), tokens = jax.lax.scan(one, first, jnp.arange(steps + 1))
    return _cut(tokens.T, total, steps, end)


def _beam(logits, advance, state, context, rows, steps, how, end, banned):
    k = how.beam
    spread = lambda x: jnp.repeat(x, k, axis=0)  # noqa: E731
    context = jax.tree.map(spread, context)  # every hypothesis of a row has that row's
    grouped = lambda x: x.reshape(rows, k, *x.shape[1:])  # noqa: E731
    at_first = jnp.where(jnp.arange(k) == 0, 0.0, -jnp.inf)  # all hypotheses are the same one

    def one(carry, i):
        state, tokens, total, ended, lengths = carry
        gains = grouped(jax.nn.log_softmax(_allowed(logits(state, context), banned)))
        v = gains.shape[-1]
        only_end = jnp.where(jnp.arange(v) == end, 0.0, -jnp.inf)
        gains = jnp.where(ended[..., None], only_end, gains)
        # A hypothesis that has ended is ranked by its own length, one that has not as if it ended here.
        after = total[..., None] + gains
        length = jnp.where(ended, lengths, i + 1)[..., None]
        _, flat = jax.lax.top_k((after / length**how.alpha).reshape(rows, -1), k)
        parent, word = flat // v, (flat % v).astype(jnp.int32)
        pick = lambda x: jnp.take_along_axis(x, parent.reshape(rows, k, *(1,) * (x.ndim - 2)), axis=1)  # noqa: E731
        state = jax.tree.map(lambda x: pick(grouped(x)).reshape(x.shape), state)
        total = jnp.take_along_axis(after.reshape(rows, -1), flat, axis=1)
        was, lengths = pick(ended), pick(lengths)
        lengths = jnp.where(was, lengths, i + 1)
        tokens = pick(tokens).at[:, :, i].set(word)
        return (
            advance(state, context, word.reshape(-1), i),
            tokens,
            total,
            was | (word == end),
            lengths,
        ), None

    first = (
        jax.tree.map(spread, state),
        jnp.full((rows, k, steps + 1), end, jnp.int32),
        jnp.broadcast_to(at_first, (rows, k)),
        jnp.zeros((rows, k), bool),
        jnp.ones((rows, k), jnp.int32),
    )
    (_, tokens, total, ended, lengths), _ = jax.lax.scan(one, first, jnp.arange(steps + 1))
    ranked = jnp.where(ended, 0.0, -1e9) + total / lengths**how.alpha
    best = jnp.argmax(ranked, axis=1)[:, None]
    tokens = jnp.take_along_axis(tokens, best[..., None], axis=1)[:, 0]
    return _cut(tokens, jnp.take_along_axis(total, best, axis=1)[:, 0], steps, end)


def _allowed(scores, banned):
    return scores.at[..., jnp.array(banned, jnp.int32)].set(-jnp.inf) if banned else scores


def _cut(tokens, total, steps, end):
    """Sequences of at most `steps` tokens; the end of all that come after it."""
    over = jnp.cumsum(tokens == end, axis=1) > 0
    tokens = jnp.where(over, end, tokens)[:, :steps]
    return Sequences(tokens, jnp.sum(~over, axis=1).clip(max=steps), total)
