"""Spearman correlation of cosines with human judgements of word similarity, unknown words counted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from odeembed.data.sources import locate
from odeembed.errors import DataError
from odeembed.evaluate.vectors import WordVectors, readings_of

Pair = tuple[str, str, float]


@dataclass(frozen=True)
class WordSimilarity:
    """Scores every reading of a model's word vectors on word-similarity sets.

    Attributes:
      sets: names of the sets; set X is the file EN-X.txt (word, word, judgement, tab-separated).
      folder: where the files are; a relative path is tried as given, then under $ODEEMBED_DATA.
      tokens: how many training tokens the readings that average states use; 0 leaves these readings out.
      removed: numbers of common directions to remove from each reading.
    """

    sets: tuple[str, ...] = ("WS-353-ALL", "MEN-TR-3k", "RG-65", "MTurk-771", "RW-STANFORD")
    folder: str = "wordsim"
    tokens: int = 2_000_000
    removed: tuple[int, ...] = (1, 2, 3)

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns wordsim/<set>/pairs, and for each reading wordsim/<set>/<reading>, its Spearman, and .../oov.

        Args:
          run: has model, params, vocabulary and dataset.
        """
        found = readings_of(run, self.tokens, self.removed)
        scores: dict[str, float] = {}
        for name, vectors in found.items():
            scores |= self.score(vectors, name)
        return scores

    def score(self, vectors: WordVectors, reading: str) -> dict[str, float]:
        """Scores one set of vectors under the name of its reading."""
        scores: dict[str, float] = {}
        for name, pairs in self.pairs().items():
            judged = judge(vectors, pairs)
            scores[f"wordsim/{name}/pairs"] = float(len(pairs))
            scores[f"wordsim/{name}/{reading}"] = judged.spearman
            scores[f"wordsim/{name}/{reading}/oov"] = float(judged.oov)
        return scores

    def pairs(self) -> dict[str, list[Pair]]:
        """Reads all the sets, in order."""
        return {name: read_pairs(locate(f"{self.folder}/EN-{name}.txt")) for name in self.sets}


@dataclass(frozen=True)
class Judged:
    """What vectors say of a set of pairs, beside what people said.

    Attributes:
      human: float [n], judgements of the pairs of known words.
      cosine: float [n], cosines of the same pairs.
      known: bool, one entry for each pair of the set, true where both words have a vector.
    """

    human: np.ndarray
    cosine: np.ndarray
    known: np.ndarray

    @property
    def oov(self) -> int:
        """How many pairs hold a word without a vector."""
        return int((~self.known).sum())

    @property
    def coverage(self) -> float:
        """The share of the set's pairs that the correlation is taken over."""
        return float(self.known.mean())

    @property
    def spearman(self) -> float:
        """Spearman's rank correlation over the known pairs; NaN when fewer than two are known or nothing varies."""
        return spearman(self.human, self.cosine)


def judge(vectors: WordVectors, pairs: list[Pair]) -> Judged:
    """Takes the cosine of every pair whose words both have a vector; words are matched whatever their case."""
    rows = [(vectors.find(first), vectors.find(second)) for first, second, _ in pairs]
    known = np.array([first is not None and second is not None for first, second in rows], bool)
    human = np.array([judgement for _, _, judgement in pairs], np.float64)[known]
    first, second = (
        np.array([row for row, good in zip(rows, known, strict=True) if good], int).reshape(-1, 2).T
    )
    cosine = np.einsum("nd,nd->n", vectors.unit[first], vectors.unit[second], dtype=np.float64)
    return Judged(human, cosine, known)


def spearman(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation, tied values sharing their mean rank; NaN where it is not defined."""
    if len(first) < 2:
        return float("nan")
    ranks = scipy.stats.rankdata([first, second], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(ranks)[0, 1])


def read_pairs(path: Path) -> list[Pair]:
    """Reads lines `word<tab>word<tab>judgement`.

    Raises:
      DataError: a line has other fields, or the file has no line.
    """
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            first, second, judgement = line.split("\t")
            pairs.append((first.strip(), second.strip(), float(judgement)))
        except ValueError:
            raise DataError(
                f"{path}, line {number}: expected word, word and number, tab-separated; got {line!r}. Mend the line."
            ) from None
    if not pairs:
        raise DataError(
            f"{path}: expected lines of word, word, judgement; got an empty file. Give another file."
        )
    return pairs
