"""What a trained model makes of sentences: a vector for each, and words for their gaps."""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

from odeembed.batch import Batch
from odeembed.data.padding import batches, padded, padded_length
from odeembed.data.vocabulary import Vocabulary
from odeembed.decode import fill
from odeembed.errors import DataError
from odeembed.evaluate.sentence_similarity import compiled_pooling

GAP = re.compile("_{3,}")
_CHUNK = 256  # lines read at a time
_BEAM = 8


class Embedded(NamedTuple):
    """A sentence's vector, float32 [h], zero where it has no token; how many tokens it has, how many are unknown."""

    vector: np.ndarray
    tokens: int
    unknown: int


class Filled(NamedTuple):
    """A sentence whose gaps were filled.

    Attributes:
      text: the sentence with its gaps filled together, by beam search.
      candidates: for each gap the most likely words and their probabilities while all gaps are open.
      unknown: how many of its words are not in the vocabulary.
    """

    text: str
    candidates: list[list[tuple[str, float]]]
    unknown: int


def embed(model: Any, params: Any, vocabulary: Vocabulary, lines: Iterable[str]) -> Iterator[Embedded]:
    """Yields the mean contextual state of every line, in order; lines are read some hundreds at a time."""
    pool = compiled_pooling(model)
    lines = iter(lines)
    while chunk := list(itertools.islice(lines, _CHUNK)):
        read = [vocabulary.read(line) for line in chunk]
        found: dict[int, np.ndarray] = {}
        for batch in batches([ids for ids, _ in read], vocabulary.pad_id):
            states = np.asarray(pool(params, batch)["context"])
            found |= {number: states[row] for row, number in enumerate(batch.index.tolist()) if number >= 0}
        for number, (ids, unknown) in enumerate(read):
            yield Embedded(found[number], len(ids), unknown)


def infill(model: Any, params: Any, vocabulary: Vocabulary, sentence: str, k: int = 5) -> Filled:
    """Fills the gaps ___ of a sentence, one token each.

    Raises:
      DataError: the sentence has no gap.
    """
    ids, gaps, unknown = read_gaps(vocabulary, sentence)
    if not gaps:
        raise DataError(
            f"expected a sentence with gaps; got {sentence!r}. Write ___ for each word to be found."
        )
    batch = padded([ids], [0], (1, padded_length(len(ids))), vocabulary.pad_id)
    visible = np.ones(batch.mask.shape[1], bool)
    visible[gaps] = False

    def log_probabilities(values: np.ndarray, visible: np.ndarray) -> np.ndarray:
        rows = [np.repeat(field, len(values), 0) for field in (batch.times, batch.mask, batch.index)]
        return np.asarray(_compiled_log_probabilities(model)(params, Batch(values, *rows), visible))

    banned = (vocabulary.pad_id, vocabulary.unk_id)
    first = log_probabilities(batch.values, visible[None])[0, gaps]
    best = [_candidates(row, banned, vocabulary, k) for row in first]
    filled = fill(log_probabilities, batch.values[0], visible, beam=_BEAM, banned=banned)[0].tokens
    words = iter(_spelt(vocabulary, id) for id in filled[gaps].tolist())
    return Filled(GAP.sub(lambda _: next(words), sentence), best, unknown)


def read_gaps(vocabulary: Vocabulary, sentence: str) -> tuple[list[int], list[int], int]:
    """Token ids of a sentence, those of its gaps ___ being <unk>; which are gaps; how many words are unknown."""
    read = [vocabulary.read(text) for text in GAP.split(sentence)]
    ids, gaps = list(read[0][0]), []
    for part, _ in read[1:]:
        gaps.append(len(ids))
        ids += [vocabulary.unk_id, *part]
    return ids, gaps, sum(unknown for _, unknown in read)


@functools.lru_cache(maxsize=4)
def _compiled_log_probabilities(model: Any) -> Any:
    @jax.jit
    def log_probabilities(params: Any, batch: Batch, visible: Bool[Any, "b l"]) -> Float[Array, "b l v"]:
        states = model.apply({"params": params}, batch, visible).states
        return jax.nn.log_softmax(model.apply({"params": params}, states, method="logits"))

    return log_probabilities


def _candidates(
    row: Float[np.ndarray, " v"], banned: tuple[int, ...], vocabulary: Vocabulary, k: int
) -> list[tuple[str, float]]:
    allowed = np.array(row)
    allowed[list(banned)] = -np.inf
    return [(_spelt(vocabulary, id), float(np.exp(row[id]))) for id in np.argsort(-allowed)[:k].tolist()]


def _spelt(vocabulary: Vocabulary, id: int) -> str:
    """A token as people write it: without the mark of a word's beginning."""
    return vocabulary.decode([id]) or vocabulary.tokens[id]
