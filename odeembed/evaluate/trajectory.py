"""The path of a decoder while it says a sentence: what it would say when, how fast it moves, what it looks at."""

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from odeembed.batch import Batch
from odeembed.data.padding import padded, padded_length
from odeembed.errors import ConfigError, DataError
from odeembed.evaluate.sentence_path import spelt
from odeembed.evaluate.vectors import main_plane
from odeembed.models.decoders import Decoded
from odeembed.translate import Translator

END = "(end)"


class Handover(NamedTuple):
    """Where one word stops being the likeliest and another one begins: the time in tokens, and both words."""

    time: float
    before: str
    after: str


class Said(NamedTuple):
    """A token that was said, or the end, and the path at its time.

    Attributes:
      word: as people write it.
      time: its number.
      start, stop: between which times around its own it is the likeliest; NaN where another one is at its time.
      probability: of it at its time, just before the jump.
      speed: |dh/dt| there.
      source: the word of the source that is attended to most there; None without attention.
    """

    word: str
    time: int
    start: float
    stop: float
    probability: float
    speed: float
    source: str | None


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a decoder does between the tokens of one sentence that it says.

    The n times are those of the ways from token to token, one after the other, both ends of each among them: a token's
    own time stands there twice, just before its jump and just after it.

    Attributes:
      source: the words of the source.
      said: the tokens said, and the end where it was reached.
      times: float [n], in tokens, from -1 to the time of the end.
      words: the k words drawn: those that are the likeliest at some time, likeliest first.
      probability: float [n, k], of these.
      winner: the likeliest word at each time.
      handovers: where the likeliest word changes.
      speed: float [n], |dh/dt| a token, from differences of states, central ones within the way between two jumps and
        one-sided ones at its ends: no jump is in it.
      plane: float [n, 2], the states in the plane of their two main directions.
      variance: the shares of the states' variance in these two directions.
      attention: float [n, s], to each word of the source, the mean over heads; None without attention.
      agrees: the share of the tokens said, the end among them, that are read from this path too. A solver of equal
        steps takes them between neighbouring times: here they are finer than those that the sentence was said with.
    """

    source: tuple[str, ...]
    said: tuple[Said, ...]
    times: Float[np.ndarray, " n"]
    words: tuple[str, ...]
    probability: Float[np.ndarray, "n k"]
    winner: tuple[str, ...]
    handovers: tuple[Handover, ...]
    speed: Float[np.ndarray, " n"]
    plane: Float[np.ndarray, "n 2"]
    variance: tuple[float, float]
    attention: Float[np.ndarray, "n s"] | None
    agrees: float

    def to_json(self) -> dict[str, Any]:
        """All of it as lists, numbers, text and None, which stands for NaN too."""
        said = [token._asdict() for token in self.said]
        return {
            "source": list(self.source),
            "said": [{name: None if x != x else x for name, x in token.items()} for token in said],
            "times": self.times.tolist(),
            "words": list(self.words),
            "probability": self.probability.tolist(),
            "winner": list(self.winner),
            "handovers": [handover._asdict() for handover in self.handovers],
            "speed": self.speed.tolist(),
            "plane": self.plane.tolist(),
            "variance": list(self.variance),
            "attention": None if self.attention is None else self.attention.tolist(),
            "agrees": self.agrees,
        }


def trajectory(
    translator: Translator, sentence: list[int], *, points: int = 20, words: int = 6
) -> Trajectory:
    """Says a sentence greedily, and reads the decoder along its own words at `points` times a token.

    Args:
      sentence: the source's token ids.
      words: the most that are drawn.

    Raises:
      DataError: a sentence without tokens. ConfigError: points or words below 1, or a path that cannot be solved.
    """
    if not sentence:
        raise DataError("a path needs a sentence; got no token. Give at least one word.")
    if points < 1 or words < 1:
        raise ConfigError(f"points and words must be at least 1; got {points} and {words}.")
    vocabulary = translator.vocabulary
    name = lambda id: END if id == vocabulary.pad_id else spelt(vocabulary, id)  # noqa: E731
    ids = translator.translate([sentence])[0]
    fractions = tuple(np.linspace(0, 1, points + 1).tolist())
    batch = _alone(sentence, vocabulary.pad_id)._replace(target=_alone(ids, vocabulary.pad_id))
    found = jax.device_get(_compiled_reading(translator.model, fractions)(translator.params, batch))
    failed, states, logits, weights = found
    if failed.any():
        raise ConfigError("the path of this sentence could not be solved. Set --steps, or a larger --rtol.")
    ways = len(ids) + 1
    flat = lambda x: x[0, :ways].reshape(-1, x.shape[-1])  # noqa: E731
    times = (np.arange(ways)[:, None] - 1 + np.array(fractions)).ravel()
    logits = flat(logits).astype(np.float64)
    scores = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    probability = np.exp(scores)
    scores[:, vocabulary.unk_id] = -np.inf  # it is never said
    winner = scores.argmax(axis=1)
    leaders = np.unique(winner)
    drawn = leaders[np.argsort(-probability[:, leaders].max(axis=0), kind="stable")][:words].tolist()
    changes, moments = handovers(times, scores, winner)
    speed = speeds(states[0, :ways], points).ravel()
    plane = main_plane(flat(states).astype(np.float64))
    attention = None if weights is None else flat(weights)[:, : len(sentence)]
    heard = [name(id) for id in sentence]
    wanted = [*ids, vocabulary.pad_id] if len(ids) < translator.longest else ids
    own, said = [], []
    for number, id in enumerate(wanted):
        at = (number + 1) * len(fractions) - 1  # the end of the way to it
        own.append(winner[at] == id)
        spans = (moments[changes < at], -1, times[0]), (moments[changes >= at], 0, times[-1])
        start, stop = (float(some[end] if some.size else limit) for some, end, limit in spans)
        said.append(
            Said(
                name(id),
                number,
                start if own[-1] else math.nan,
                stop if own[-1] else math.nan,
                float(probability[at, id]),
                float(speed[at]),
                None if attention is None else heard[int(attention[at].argmax())],
            )
        )
    return Trajectory(
        source=tuple(heard),
        said=tuple(said),
        times=times,
        words=tuple(map(name, drawn)),
        probability=probability[:, drawn],
        winner=tuple(map(name, winner.tolist())),
        handovers=tuple(
            Handover(float(moment), name(int(winner[i])), name(int(winner[i + 1])))
            for i, moment in zip(changes, moments, strict=True)
        ),
        speed=speed,
        plane=plane.places,
        variance=plane.variance,
        attention=attention,
        agrees=float(np.mean(own)),
    )


def legs(model: Any, params: Any, context: Any, batch: Batch, fractions: tuple[float, ...]) -> Decoded:
    """The states of a `Speaker` on the ways to each token of `batch` and to its end, the tokens before being known.

    The way to token i begins just after the jump at i - 1 and ends just before that at i; the first one begins at -1. A
    solver of equal steps takes them between neighbouring times, so more fractions mean finer steps.

    Args:
      fractions: how far on each way states are read, rising from 0 to 1, both among them.

    Returns:
      `Decoded` with states [b, l + 1, f, h].
    """
    b, f = batch.mask.shape[0], len(fractions)
    ends = jnp.concatenate([batch.times, batch.times[:, -1:] + 1], axis=1)
    ts = (ends[..., None] - 1 + jnp.array(fractions)).reshape(b, -1)
    real = jnp.pad(batch.mask, ((0, 0), (1, 0)), constant_values=True)
    values, standing = (jnp.pad(x, ((0, 0), (0, 1))) for x in (batch.values, batch.mask))
    # A token stands at the end of the way to it, and the next way begins at the same time.
    tokens = (standing[..., None] & (jnp.arange(f) == f - 1)).reshape(b, -1)
    sequences = jnp.repeat(values, f, axis=1), ts, tokens, jnp.repeat(real, f, axis=1)
    # The start stands there once more, for decoders whose state jumps there too.
    sequences = (jnp.concatenate([x[:, :1], x], axis=1) for x in sequences)
    out = model.apply({"params": params}, context, *sequences, method="along")
    return out._replace(states=out.states[:, 1:].reshape(b, -1, f, out.states.shape[-1]))


def handovers(
    times: Float[np.ndarray, " n"], scores: Float[np.ndarray, "n v"], winner: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """After which of the times the likeliest word changes, and when: where both are as likely, in a line between.

    Args:
      scores: log-probabilities.
      winner: the likeliest word at each time.
    """
    changes = np.flatnonzero(winner[1:] != winner[:-1])
    before, after = winner[changes], winner[changes + 1]
    lead = scores[changes, before] - scores[changes, after]
    gain = scores[changes + 1, after] - scores[changes + 1, before]
    share = lead / np.maximum(lead + gain, 1e-30)
    return changes, times[changes] + share * (times[changes + 1] - times[changes])


def speeds(states: Float[np.ndarray, "*b f h"], points: int) -> Float[np.ndarray, "*b f"]:
    """|dh/dt| on ways of `points` equal parts a token: central differences, one-sided ones at the ends.

    Both are of second order in 1 / points, but for points = 1, where there is one difference a way.
    """
    order = 2 if points > 1 else 1
    slope = np.gradient(states.astype(np.float64), 1 / points, axis=-2, edge_order=order)
    return np.linalg.norm(slope, axis=-1)


def _alone(ids: list[int], pad_id: int) -> Batch:
    return padded([ids], [0], (1, padded_length(len(ids))), pad_id)


@functools.lru_cache(maxsize=4)
def _compiled_reading(model, fractions):
    """The jitted (params, batch) -> failed [b], states [b, l, f, h], logits [b, l, f, v], attention [b, l, f, s]."""

    @jax.jit
    def read(params, batch):
        batch = jax.tree.map(jnp.asarray, batch)
        heard = model.apply({"params": params}, batch, method="encode")
        out = legs(model, params, heard, batch.target, fractions)
        read_outs, kept = model.apply(
            {"params": params}, out.states, heard, method="read", mutable=["intermediates"]
        )
        logits = model.apply({"params": params}, read_outs, method="logits")
        found = jax.tree.leaves(kept)
        weights = None
        if found:
            weights = found[0].mean(axis=1).reshape(*out.states.shape[:3], -1)
        return out.failed, out.states, logits, weights

    return read
