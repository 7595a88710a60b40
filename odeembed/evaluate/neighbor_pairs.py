"""How near related words stand: the mean reciprocal rank of each word of a pair among the other's neighbours."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from odeembed.errors import ConfigError
from odeembed.evaluate.vectors import WordVectors, readings_of


@dataclass(frozen=True)
class NeighborPairs:
    """Scores every reading of a model's word vectors on pairs of words that ought to be neighbours.

    Attributes:
      pairs: the pairs.
      min_count: words that occur less often in the training text are not ranked.
      tokens: how many training tokens the readings that average states use; 0 leaves these readings out.
      removed: numbers of common directions to remove from each reading.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    min_count: int = 1
    tokens: int = 0
    removed: tuple[int, ...] = (1, 2, 3)

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns neighbors/mrr/<reading>, and neighbors/oov/<reading>, the pairs with a word that has no vector.

        Args:
          run: has model, params, vocabulary and dataset.
        """
        found = readings_of(run, self.tokens, self.removed)
        scores: dict[str, float] = {}
        for name, vectors in found.items():
            ranks = reciprocal_ranks(vectors, self.pairs, self.min_count)
            scores[f"neighbors/mrr/{name}"] = float(ranks.mean())
            scores[f"neighbors/oov/{name}"] = float(np.sum((ranks == 0).all(1)))
        return scores


def mean_reciprocal_rank(
    vectors: WordVectors, pairs: tuple[tuple[str, str], ...], min_count: int = 1
) -> float:
    """Returns the mean over pairs and both directions of 1 / (rank of one word among the other's neighbours), in 0..1.

    Raises:
      ConfigError: there is no pair.
    """
    return float(reciprocal_ranks(vectors, pairs, min_count).mean())


def reciprocal_ranks(
    vectors: WordVectors, pairs: tuple[tuple[str, str], ...], min_count: int = 1
) -> np.ndarray:
    """Returns float [n, 2], both directions of each pair; 0 where a word has no vector or occurs too seldom.

    A word of equal cosine counts as nearer, so that vectors which are all alike earn nothing.

    Raises:
      ConfigError: there is no pair.
    """
    if not pairs:
        raise ConfigError("a mean reciprocal rank needs at least one pair of words; got none. Set `pairs`.")
    ranked = vectors.counts >= min_count
    ranks = np.zeros((len(pairs), 2))
    for number, pair in enumerate(pairs):
        first, second = (vectors.find(word) for word in pair)
        if first is None or second is None or not (ranked[first] and ranked[second]):
            continue
        ranks[number] = (
            _reciprocal_rank(vectors, first, second, ranked),
            _reciprocal_rank(vectors, second, first, ranked),
        )
    return ranks


def _reciprocal_rank(vectors: WordVectors, query: int, sought: int, ranked: np.ndarray) -> float:
    cosine = vectors.unit @ vectors.unit[query]
    others = ranked.copy()
    others[[query, sought]] = False
    return 1.0 / (1 + int((cosine[others] >= cosine[sought]).sum()))
