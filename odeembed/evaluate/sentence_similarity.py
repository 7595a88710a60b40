"""Semantic textual similarity: cosines of mean-pooled states against human judgements of pairs of sentences."""

import csv
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odeembed.batch import Batch
from odeembed.data.padding import padded
from odeembed.data.sources import locate
from odeembed.errors import DataError
from odeembed.evaluate.word_similarity import spearman

Pair = tuple[str, str, float]
_TOKEN = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class SentenceSimilarity:
    """Scores a model's sentence vectors on sets of judged sentence pairs.

    A sentence without a single known word has no vector: its pairs count with a cosine of 0, so that all models are
    scored on the same pairs, and their number is reported.

    Attributes:
      files: `.csv` files of sentence, sentence, judgement (STS benchmark), or `.txt` files in the tab-separated form of
        SICK; tried as given, then under $ODEEMBED_DATA.
      tokenised: whether punctuation marks stand alone in the training text, and so must here.
      lengths: sentences are padded to the first of these that fits, and cut after the last.
      rows: sentences a batch.
    """

    files: tuple[str, ...] = ("sts/stsb-en-test.csv", "sts/SICK_test_annotated.txt")
    tokenised: bool = False
    lengths: tuple[int, ...] = (16, 32, 64)
    rows: int = 128

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns for each file and pooling sts/<file>/<pooling>/{pearson,spearman}, and its pairs, unknown and cut.

        Args:
          run: has model, params and vocabulary.
        """
        scores: dict[str, float] = {}
        for file in self.files:
            path = locate(file)
            for name, value in self.score(run, read_sentence_pairs(path)).items():
                scores[f"sts/{path.stem}/{name}"] = value
        return scores

    def score(self, run: Any, pairs: list[Pair]) -> dict[str, float]:
        """Scores one set of pairs, under names without the set's."""
        sentences = [sentence for first, second, _ in pairs for sentence in (first, second)]
        ids = [run.vocabulary.encode(separated(line) if self.tokenised else line) for line in sentences]
        known = np.array(
            [any(i not in (run.vocabulary.pad_id, run.vocabulary.unk_id) for i in row) for row in ids]
        )
        judged = np.array([judgement for _, _, judgement in pairs])
        scores = {
            "pairs": float(len(pairs)),
            "unknown": float(np.sum(~known.reshape(-1, 2).all(1))),
            "cut": float(sum(len(row) > self.lengths[-1] for row in ids)),
        }
        for pooling, vectors in self._pooled(run, ids).items():
            cosine = _cosines(np.where(known[:, None], vectors, 0.0))
            scores[f"{pooling}/pearson"] = pearson(judged, cosine)
            scores[f"{pooling}/spearman"] = spearman(judged, cosine)
        return scores

    def _pooled(self, run: Any, ids: list[list[int]]) -> dict[str, np.ndarray]:
        """Mean contextual states and mean embeddings, each [sentences, width]; zero for an empty sentence."""
        pool = compiled_pooling(run.model)
        parts = [
            (batch.index, pool(run.params, batch)) for batch in self._batches(ids, run.vocabulary.pad_id)
        ]
        parts = jax.device_get(parts)
        pooled = {}
        for pooling in ("context", "embedding"):
            pooled[pooling] = np.zeros((len(ids), parts[0][1][pooling].shape[-1]), np.float64)
            for index, found in parts:
                pooled[pooling][index[index >= 0]] = found[pooling][index >= 0]
        return pooled

    def _batches(self, ids: list[list[int]], pad_id: int) -> Iterator[Batch]:
        """Yields every sentence once, in as many shapes as there are lengths; rows to spare have index -1."""
        buckets = np.searchsorted(self.lengths, [min(len(row), self.lengths[-1]) for row in ids])
        for bucket, length in enumerate(self.lengths):
            members = np.flatnonzero(buckets == bucket)
            for start in range(0, len(members), self.rows):
                part = members[start : start + self.rows].tolist()
                yield padded([ids[member][:length] for member in part], part, (self.rows, length), pad_id)


@functools.lru_cache(maxsize=4)
def compiled_pooling(model: Any) -> Any:
    """Returns the jitted `(params, batch) -> {"context": [b, h], "embedding": [b, e]}`, means over the real tokens."""

    @jax.jit
    def pool(params, batch):
        states = model.apply({"params": params}, batch, method="contextual")
        embedded = params["embedding"]["embedding"][batch.values]
        weight = batch.mask / jnp.maximum(batch.mask.sum(1, keepdims=True), 1)
        return {
            "context": jnp.einsum("bl,blh->bh", weight, states),
            "embedding": jnp.einsum("bl,ble->be", weight, embedded),
        }

    return pool


def pearson(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float:
    """Pearson's correlation; NaN where one side is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(first, second)[0, 1])


def separated(line: str) -> str:
    """Puts white space around every punctuation mark, hyphens and apostrophes within words excepted."""
    return " ".join(_TOKEN.findall(line))


def read_sentence_pairs(path: Path) -> list[Pair]:
    """Reads pairs of sentences with their judgement, from CSV without a header or from tab-separated SICK.

    Raises:
      DataError: a line has other fields, or the file has none.
    """
    text = path.read_text(encoding="utf-8")
    sick = path.suffix == ".txt"
    rows = list(
        csv.reader(text.splitlines(), delimiter="\t" if sick else ",", quoting=csv.QUOTE_NONE if sick else 0)
    )
    pairs = []
    for number, row in enumerate(rows[int(sick) :], 1 + int(sick)):
        try:
            first, second, judgement = row[1:4] if sick else row
            pairs.append((first, second, float(judgement)))
        except ValueError:
            raise DataError(
                f"{path}, row {number}: expected two sentences and a number; got {row!r}. Mend the row."
            ) from None
    if not pairs:
        raise DataError(f"{path}: expected rows of two sentences and a number; got none. Give another file.")
    return pairs


def _cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosines of rows 0 and 1, 2 and 3, ...; 0 where one is zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    return np.einsum("nd,nd->n", unit[::2], unit[1::2])
