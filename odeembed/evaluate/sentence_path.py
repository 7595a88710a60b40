"""The path of one sentence: what a model expects at every time, at and between the tokens."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from odeembed.data.padding import padded, padded_length
from odeembed.errors import DataError
from odeembed.evaluate.hidden_path import HiddenPath, hidden_path


@dataclass(frozen=True, eq=False)
class SentencePath:
    """Probabilities of a few words along a sentence.

    Attributes:
      tokens: the sentence's, hidden ones included.
      visible: bool [l], false where the model did not see the token.
      times: float [n], in units of tokens: token i is at time i.
      words: the k words drawn, those of the hidden tokens first.
      probability: float [n, k], of each word if a token stood at that time.
      likeliest: for each time the likeliest words, likeliest first.
      chances: float [n, m], the probabilities of these.
      hidden: the hidden states on the way, in a plane.
    """

    tokens: tuple[str, ...]
    visible: Bool[np.ndarray, " l"]
    times: Float[np.ndarray, " n"]
    words: tuple[str, ...]
    probability: Float[np.ndarray, "n k"]
    likeliest: tuple[tuple[str, ...], ...]
    chances: Float[np.ndarray, "n m"]
    hidden: HiddenPath


def sentence_path(
    model: Any,
    params: Any,
    vocabulary: Any,
    ids: list[int],
    visible: Bool[np.ndarray, " l"],
    *,
    words: int = 6,
    points: int = 16,
    likeliest: int = 8,
) -> SentencePath:
    """Reads a model along one sentence, hidden tokens unseen, at `points` times between neighbouring tokens.

    The words are those of the hidden tokens, then those that are the most probable at some time, likeliest first.

    Args:
      ids: the sentence's token ids; a hidden one may be <unk>, which is no word to be drawn.
      visible: false where a token is hidden.
      likeliest: how many words are told of each time.

    Raises:
      DataError: the sentence has fewer than two tokens.
    """
    if len(ids) < 2:
        raise DataError(f"a path leads from token to token; got {len(ids)} token. Give a longer sentence.")
    # Sentences of like length share a shape, so that one program reads them all.
    length, count = padded_length(len(ids)), (len(ids) - 1) * points + 1
    batch = padded([ids], [0], (1, length), vocabulary.pad_id)
    seen = np.pad(np.asarray(visible, bool), (0, length - len(ids)))[None]
    times = np.minimum(np.arange((length - 1) * points + 1), count - 1).astype(np.float32)[None] / points
    everything, states = (
        np.asarray(x[0, :count]) for x in compiled_reading(model)(params, batch, seen, times)
    )
    allowed = everything.copy()
    allowed[:, [vocabulary.pad_id, vocabulary.unk_id]] = 0
    order = np.argpartition(-allowed, min(likeliest, allowed.shape[1] - 1), axis=1)[:, :likeliest]
    order = np.take_along_axis(order, np.argsort(-np.take_along_axis(allowed, order, 1), kind="stable"), 1)
    leaders = np.unique(order[:, 0])
    leaders = leaders[np.argsort(-allowed[:, leaders].max(0), kind="stable")].tolist()
    unseen = [id for id, shown in zip(ids, visible, strict=True) if not shown and id != vocabulary.unk_id]
    drawn = list(dict.fromkeys([*unseen, *leaders]))[:words]
    names = {token: spelt(vocabulary, token) for token in {*ids, *drawn, *order.ravel().tolist()}}
    times = times[0, :count]
    return SentencePath(
        tokens=tuple(names[token] for token in ids),
        visible=np.asarray(visible),
        times=times,
        words=tuple(names[token] for token in drawn),
        probability=everything[:, drawn],
        likeliest=tuple(tuple(names[token] for token in row) for row in order.tolist()),
        chances=np.take_along_axis(everything, order, axis=1),
        hidden=hidden_path(model, params, states, times),
    )


@functools.lru_cache(maxsize=4)
def compiled_reading(model: Any) -> Any:
    """Returns the jitted `(params, batch, visible, times [b, n]) -> probabilities [b, n, v], states [b, n, h]`."""

    @jax.jit
    def read(params, batch, visible, times):
        hidden = model.apply({"params": params}, batch, visible, times, method="hidden").states
        logits = model.apply(
            {"params": params}, hidden, method=lambda model, h: model.logits(model.read_out(h))
        )
        return jax.nn.softmax(logits), hidden

    return read


def spelt(vocabulary: Any, token: int) -> str:
    """A token as people write it: without the mark of a word's beginning."""
    return vocabulary.decode([token]).strip() or vocabulary.tokens[token]
