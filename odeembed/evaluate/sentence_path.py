"""The path of one sentence: what a model expects at every time, at and between the tokens."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from odeembed.batch import Batch
from odeembed.errors import DataError


@dataclass(frozen=True, eq=False)
class SentencePath:
    """Probabilities of a few words along a sentence.

    Attributes:
      tokens: the sentence's, hidden ones included.
      visible: bool [l], false where the model did not see the token.
      times: float [n], in units of tokens: token i is at time i.
      words: the k words drawn, those of the hidden tokens first.
      probability: float [n, k], of each word if a token stood at that time.
    """

    tokens: tuple[str, ...]
    visible: Bool[np.ndarray, " l"]
    times: Float[np.ndarray, " n"]
    words: tuple[str, ...]
    probability: Float[np.ndarray, "n k"]


def sentence_path(
    model: Any,
    params: Any,
    vocabulary: Any,
    ids: list[int],
    visible: Bool[np.ndarray, " l"],
    *,
    words: int = 6,
    points: int = 16,
) -> SentencePath:
    """Reads a model along one sentence, hidden tokens unseen, at `points` times between neighbouring tokens.

    The words are those of the hidden tokens, then those that are the most probable at some time, likeliest first.

    Args:
      ids: the sentence's token ids.
      visible: false where a token is hidden.

    Raises:
      DataError: the sentence has fewer than two tokens.
    """
    if len(ids) < 2:
        raise DataError(f"a path leads from token to token; got {len(ids)} token. Give a longer sentence.")
    values = np.array([ids], np.int32)
    token_times = np.arange(len(ids), dtype=np.float32)[None]
    batch = Batch(values, token_times, np.ones(values.shape, bool), np.zeros(1, np.int32))
    times = np.arange((len(ids) - 1) * points + 1, dtype=np.float32) / points
    everything = np.asarray(compiled_reading(model)(params, batch, visible[None], times[None])[0])
    allowed = everything.copy()
    allowed[:, [vocabulary.pad_id, vocabulary.unk_id]] = 0
    leaders = np.unique(allowed.argmax(1))
    leaders = leaders[np.argsort(-allowed[:, leaders].max(0), kind="stable")].tolist()
    hidden = [token for token, seen in zip(ids, visible, strict=True) if not seen]
    drawn = list(dict.fromkeys([*hidden, *leaders]))[:words]
    return SentencePath(
        tokens=tuple(spelt(vocabulary, token) for token in ids),
        visible=np.asarray(visible),
        times=times,
        words=tuple(spelt(vocabulary, token) for token in drawn),
        probability=everything[:, drawn],
    )


@functools.lru_cache(maxsize=4)
def compiled_reading(model: Any) -> Any:
    """Returns the jitted `(params, batch, visible, times [b, n]) -> probabilities [b, n, v]`."""

    @jax.jit
    def read(params, batch, visible, times):
        states = model.apply({"params": params}, batch, visible, times).states
        return jax.nn.softmax(model.apply({"params": params}, states, method="logits"))

    return read


def spelt(vocabulary: Any, token: int) -> str:
    """A token as people write it: without the mark of a word's beginning."""
    return vocabulary.decode([token]).strip() or vocabulary.tokens[token]
