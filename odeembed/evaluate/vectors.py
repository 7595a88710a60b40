"""Word vectors: looking them up, comparing them, and the ways in which they are read from a trained model."""

import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odeembed.batch import Batch
from odeembed.errors import ConfigError, UnknownWordError


@dataclass(frozen=True, eq=False)
class WordVectors:
    """One vector a word.

    Attributes:
      words: the words, each once.
      matrix: float [v, d], row i belongs to words[i].
      counts: int [v], how often each word occurs in the training text.
    """

    words: tuple[str, ...]
    matrix: np.ndarray
    counts: np.ndarray

    @functools.cached_property
    def rows(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @functools.cached_property
    def _rows_by_lower_case(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        for row in np.argsort(self.counts, kind="stable"):  # the most frequent spelling is written last
            rows[self.words[row].lower()] = int(row)
        return rows

    @functools.cached_property
    def unit(self) -> np.ndarray:
        """The matrix with rows of length 1; a zero row stays zero."""
        lengths = np.linalg.norm(self.matrix, axis=1, keepdims=True)
        return self.matrix / np.where(lengths > 0, lengths, 1.0)

    def find(self, word: str) -> int | None:
        """Returns the row of a word whatever its case (as written first, then its commonest spelling), or None."""
        row = self.rows.get(word)
        return self._rows_by_lower_case.get(word.lower()) if row is None else row

    def row(self, word: str) -> int:
        """Returns the row of a word, whatever its case.

        Raises:
          UnknownWordError: the word has no vector; the text names the nearest spellings.
        """
        row = self.find(word)
        if row is None:
            near = difflib.get_close_matches(word.lower(), self._rows_by_lower_case, n=3)
            remedy = f"Try {', '.join(near)}." if near else "Try a word of the training text."
            raise UnknownWordError(
                f"unknown word; got {word!r}, expected one of the {len(self.words)} words with a vector. {remedy}"
            )
        return row

    def vector(self, word: str) -> np.ndarray:
        """Returns the vector [d] of a word; UnknownWordError when it has none."""
        return self.matrix[self.row(word)]

    def similarity(self, first: str, second: str) -> float:
        """Returns the cosine of two words' vectors; UnknownWordError when one has none."""
        return float(self.unit[self.row(first)] @ self.unit[self.row(second)])

    def neighbors(self, word: str, k: int = 10, min_count: int = 1) -> list[tuple[str, float]]:
        """Returns the k words of largest cosine with a word, largest first, without the word itself.

        Args:
          min_count: words that occur less often in the training text are passed over.

        Raises:
          UnknownWordError: the word has no vector.
        """
        return self.most_similar([word], k=k, min_count=min_count)

    def most_similar(
        self, positive: Iterable[str], negative: Iterable[str] = (), k: int = 10, min_count: int = 1
    ) -> list[tuple[str, float]]:
        """Returns the k words nearest to the sum of the positive minus the negative unit vectors, themselves excluded.

        Raises:
          UnknownWordError: one of the words has no vector.
        """
        added = [self.row(word) for word in positive]
        taken = [self.row(word) for word in negative]
        query = self.unit[added].sum(0) - self.unit[taken].sum(0)
        cosine = self.unit @ (query / max(float(np.linalg.norm(query)), 1e-12))
        allowed = np.flatnonzero(self.counts >= min_count)
        allowed = allowed[~np.isin(allowed, added + taken)]
        best = allowed[np.argsort(-cosine[allowed], kind="stable")[:k]]
        return [(self.words[row], float(cosine[row])) for row in best]


def without_common_directions(vectors: WordVectors, n: int) -> WordVectors:
    """Removes the mean vector and the n directions of largest variance that all words share.

    References:
      Mu and Viswanath 2018, All-but-the-Top, Algorithm 1 (there n is about d / 100).
    """
    centred = vectors.matrix - vectors.matrix.mean(0)
    directions = principal_directions(vectors.matrix, n)
    return WordVectors(vectors.words, centred - centred @ directions.T @ directions, vectors.counts)


def principal_directions(matrix: Float[np.ndarray, "v d"], n: int) -> Float[np.ndarray, "n d"]:
    """Returns the n orthonormal directions of largest variance, largest first; each one's largest entry is positive.

    Raises:
      ConfigError: n is larger than the dimension.
    """
    d = matrix.shape[1]
    if not 0 <= n <= d:
        raise ConfigError(
            f"principal directions must number 0 to {d}, the dimension; got {n}. Ask for fewer."
        )
    centred = np.asarray(matrix, np.float64) - matrix.mean(0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    directions = vectors.T[::-1][:n]
    peaks = directions[np.arange(n), np.abs(directions).argmax(1)]
    return (directions * np.sign(peaks)[:, None]).astype(matrix.dtype)


def readings(
    model: Any,
    params: Any,
    vocabulary: Any,
    dataset: Any | None = None,
    *,
    tokens: int | None = 2_000_000,
    removed: tuple[int, ...] = (1, 2, 3),
) -> dict[str, WordVectors]:
    """Reads word vectors from a trained model in every known way; a new way is one more function and line here.

    "embedding" is the (input and output) embedding; "context" and "prediction", which need the data set, are mean
    states over the training text. "<name>-<n>" is the same without its mean and n common directions.

    Args:
      vocabulary: the run's; its padding and unknown entries get no vector.
      dataset: the run's, or None to leave the readings that need text out.
      tokens: how many training tokens the mean states are taken over; None for an epoch.
      removed: the numbers of common directions to remove.
    """
    found = {"embedding": embedding(params, vocabulary)}
    if dataset is not None:
        found["context"] = mean_context(model, params, vocabulary, dataset, tokens)
        found["prediction"] = mean_prediction(model, params, vocabulary, dataset, tokens)
    cleaned = {f"{name}-{n}": without_common_directions(found[name], n) for name in found for n in removed}
    return found | cleaned


def readings_of(run: Any, tokens: int | None, removed: tuple[int, ...]) -> dict[str, WordVectors]:
    """Reads a run's vectors as `readings` does; `tokens` = 0 leaves the readings that need text out.

    Args:
      run: has model, params, vocabulary and dataset.
    """
    dataset = None if tokens == 0 else run.dataset
    return readings(run.model, run.params, run.vocabulary, dataset, tokens=tokens, removed=removed)


def embedding(params: Any, vocabulary: Any) -> WordVectors:
    """Reads the rows of the embedding that stand for words of the training text."""
    return _select(np.asarray(params["embedding"]["embedding"]), vocabulary.counts, vocabulary)


def mean_context(model: Any, params: Any, vocabulary: Any, dataset: Any, tokens: int | None) -> WordVectors:
    """Reads the mean of the contextual states, which contain the word itself, over a word's occurrences."""

    def states(params, batch):
        return model.apply({"params": params}, batch, method="contextual"), batch.mask

    return _mean_state(states, params, vocabulary, dataset, tokens)


def mean_prediction(
    model: Any, params: Any, vocabulary: Any, dataset: Any, tokens: int | None
) -> WordVectors:
    """Reads the mean of the states at a word's times as the model predicts them while the word is hidden.

    Every fifth token of a sentence is hidden, beginning at a place that depends on the sentence.
    """

    def states(params, batch):
        hidden = (jnp.arange(batch.mask.shape[1]) + batch.index[:, None]) % 5 == 0
        predicted = model.apply({"params": params}, batch, visible=batch.mask & ~hidden).states
        return predicted, batch.mask & hidden

    return _mean_state(states, params, vocabulary, dataset, tokens)


def _mean_state(states: Any, params: Any, vocabulary: Any, dataset: Any, tokens: int | None) -> WordVectors:
    """Averages `states(params, batch)` = (states [b, l, h], counted bool [b, l]) over each word's occurrences."""

    @functools.partial(jax.jit, donate_argnums=0)
    def add(sums, params, batch):
        total, count = sums
        found, counted = states(params, batch)
        counted &= (batch.index >= 0)[:, None]
        rows = batch.values.reshape(-1)
        weighted = jnp.where(counted[..., None], found, 0.0).astype(total.dtype)
        return total.at[rows].add(weighted.reshape(rows.size, -1)), count.at[rows].add(counted.reshape(-1))

    width = jax.eval_shape(states, params, dataset.batch(0))[0].shape[-1]
    sums = jnp.zeros((vocabulary.size, width), jnp.float32), jnp.zeros(vocabulary.size, jnp.int32)
    for batch in _training_batches(dataset, tokens):
        sums = add(sums, params, batch)
    total, count = jax.device_get(sums)
    return _select(total / np.maximum(count, 1)[:, None], count, vocabulary)


def _training_batches(dataset: Any, tokens: int | None) -> Iterable[Batch]:
    """Yields one epoch's training batches, or its first ones that together hold at least so many tokens."""
    seen = 0
    for step in range(dataset.steps_per_epoch):
        if tokens is not None and seen >= tokens:
            return
        batch = dataset.batch(step)
        seen += int(np.sum(batch.mask))
        yield batch


def _select(matrix: np.ndarray, counts: np.ndarray, vocabulary: Any) -> WordVectors:
    """Keeps the rows of words that were seen at least once, without padding and unknown."""
    seen = np.asarray(counts) > 0
    seen[[vocabulary.pad_id, vocabulary.unk_id]] = False
    rows = np.flatnonzero(seen)
    return WordVectors(tuple(vocabulary.tokens[row] for row in rows), matrix[rows], np.asarray(counts)[rows])
