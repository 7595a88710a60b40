"""Word vectors: looking them up, comparing them, and the ways in which they are read from a trained model."""

import difflib
import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
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
    if n == 0:
        return np.zeros((0, d), matrix.dtype)
    centred = np.asarray(matrix, np.float64) - matrix.mean(0, dtype=np.float64)
    _, vectors = scipy.linalg.eigh(centred.T @ centred, subset_by_index=[d - n, d - 1])  # ascending
    directions = vectors.T[::-1]
    peaks = directions[np.arange(n), np.abs(directions).argmax(1)]
    return (directions * np.sign(peaks)[:, None]).astype(matrix.dtype)


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane through the mean of some points that holds the most of their variance.

    Attributes:
      centre: float [d], the mean.
      directions: float [2, d], orthonormal; the second is 0 where d is 1.
      places: float [n, 2], the points in the plane.
      variance: the shares of the points' variance in the two directions; 0 where there is none.
    """

    centre: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "2 d"]
    places: Float[np.ndarray, "n 2"]
    variance: tuple[float, float]


def main_plane(points: Float[np.ndarray, "n d"]) -> Plane:
    """Projects points onto their two principal directions, whose signs are fixed."""
    found = principal_directions(points, min(2, points.shape[1]))
    directions = np.concatenate([found, np.zeros((2 - len(found), points.shape[1]), points.dtype)])
    centre = points.mean(axis=0)
    places = (points - centre) @ directions.T
    shares = np.square(places).sum(axis=0) / max(float(np.square(points - centre).sum()), 1e-30)
    return Plane(centre, directions, places, (float(shares[0]), float(shares[1])))


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

    "embedding" is the table of (input) embeddings, "output" that of the softmax where it is another; "context" and
    "prediction", which need the data set, are mean states over the training text; "embedding+prediction" puts the two
    side by side. "<name>-<n>" is the same without its mean and n common directions.

    Args:
      vocabulary: the run's; its padding and unknown entries get no vector.
      dataset: the run's, or None to leave the readings that need text out.
      tokens: how many training tokens the mean states are taken over; None for an epoch.
      removed: the numbers of common directions to remove.
    """
    words = whole_words(vocabulary, dataset, tokens)
    found = {"embedding": table(params, "embedding", words)}
    if "output" in params:
        found["output"] = table(params, "output", words)
    if dataset is not None:
        found["context"] = mean_context(model, params, words, dataset, tokens)
        found["prediction"] = mean_prediction(model, params, words, dataset, tokens)
        found["embedding+prediction"] = side_by_side(found["embedding"], found["prediction"])
    cleaned = {f"{name}-{n}": without_common_directions(found[name], n) for name in found for n in removed}
    return found | cleaned


def readings_of(run: Any, tokens: int | None, removed: tuple[int, ...]) -> dict[str, WordVectors]:
    """Reads a run's vectors as `readings` does; `tokens` = 0 leaves the readings that need text out.

    Args:
      run: has model, params, vocabulary and dataset.
    """
    dataset = None if tokens == 0 else run.dataset
    return readings(run.model, run.params, run.vocabulary, dataset, tokens=tokens, removed=removed)


@dataclass(frozen=True, eq=False)
class WholeWords:
    """The words that get vectors, and the entries of the vocabulary that each is made of.

    Attributes:
      words: each once.
      pieces: the entries of each word; one entry for a vocabulary of words.
      counts: how often each occurs in the training text, or in the part of it that was read.
      grouped: whether a word's entries are found through `batch.groups`.
    """

    words: tuple[str, ...]
    pieces: tuple[tuple[int, ...], ...]
    counts: np.ndarray
    grouped: bool

    @functools.cached_property
    def _rows(self) -> dict[tuple[int, ...], int]:
        return {pieces: row for row, pieces in enumerate(self.pieces)}

    @functools.cached_property
    def _row_of_entry(self) -> np.ndarray:
        rows = np.full(1 + max((pieces[0] for pieces in self.pieces), default=0), -1, np.int32)
        rows[[pieces[0] for pieces in self.pieces]] = np.arange(len(self.pieces))
        return rows

    def rows(self, batch: Batch) -> np.ndarray:
        """Returns int32 [b, l]: the row of the word that each real entry belongs to, -1 where it belongs to none."""
        if not self.grouped:
            rows = np.full(batch.values.shape, -1, np.int32)
            named = batch.mask & (batch.values < len(self._row_of_entry))
            rows[named] = self._row_of_entry[batch.values[named]]
            return rows
        rows = np.full(batch.values.shape, -1, np.int32)
        for sentence, start, end in _groups(batch):
            rows[sentence, start:end] = self._rows.get(tuple(batch.values[sentence, start:end].tolist()), -1)
        return rows


def whole_words(
    vocabulary: Any, dataset: Any | None, tokens: int | None = None, min_count: int = 5
) -> WholeWords:
    """Finds the words of the training text that get vectors.

    A vocabulary of words names them itself. With one of pieces they are the groups of pieces, letters and digits only,
    that occur at least `min_count` times in the training text; without a data set, the pieces that are whole words.
    """
    if vocabulary.starts_word is None:
        counts = np.asarray(vocabulary.counts)
        entries = [int(i) for i in np.flatnonzero(counts) if i not in (vocabulary.pad_id, vocabulary.unk_id)]
        words = tuple(vocabulary.tokens[entry] for entry in entries)
        return WholeWords(words, tuple((entry,) for entry in entries), counts[entries], grouped=False)
    if dataset is None:
        found = {
            (int(entry),): int(vocabulary.counts[entry]) for entry in np.flatnonzero(vocabulary.starts_word)
        }
    else:
        found = Counter(
            tuple(batch.values[sentence, start:end].tolist())
            for batch in _training_batches(dataset, tokens)
            for sentence, start, end in _groups(batch)
        )
        found = {pieces: count for pieces, count in found.items() if count >= min_count}
    named = {pieces: vocabulary.decode(pieces).strip() for pieces in found}
    # A word may be written in pieces in more than one way; the commonest stands for it.
    best = {
        named[pieces]: pieces
        for pieces in sorted(found, key=lambda pieces: found[pieces])
        if named[pieces].isalnum()
    }
    pieces = tuple(best.values())
    return WholeWords(tuple(best), pieces, np.array([found[word] for word in pieces], int), grouped=True)


def table(params: Any, name: str, words: WholeWords) -> WordVectors:
    """Reads the rows of the embedding of this name; a word of several pieces is the mean of theirs."""
    rows = np.asarray(params[name]["embedding"])
    if words.grouped:
        matrix = np.stack([rows[list(pieces)].mean(0) for pieces in words.pieces])
    else:
        matrix = rows[[pieces[0] for pieces in words.pieces]]
    return WordVectors(words.words, matrix, words.counts)


def side_by_side(first: WordVectors, second: WordVectors) -> WordVectors:
    """Joins the unit vectors of the words that both have, so that cosines are the mean of the two cosines."""
    words = tuple(word for word in first.words if word in second.rows)
    rows = [first.rows[word] for word in words]
    others = [second.rows[word] for word in words]
    return WordVectors(words, np.hstack([first.unit[rows], second.unit[others]]), first.counts[rows])


def mean_context(model: Any, params: Any, words: WholeWords, dataset: Any, tokens: int | None) -> WordVectors:
    """Reads the mean of the contextual states, which contain the word itself, over a word's occurrences."""

    def states(params, batch):
        return model.apply({"params": params}, batch, method="contextual"), batch.mask

    return _mean_state(states, params, words, dataset, tokens)


def mean_prediction(
    model: Any, params: Any, words: WholeWords, dataset: Any, tokens: int | None
) -> WordVectors:
    """Reads the mean of the read-outs at a word's times, from which the model predicts it without seeing it.

    Where a body leaves each token out of its own prediction every position counts; elsewhere every fifth token of a
    sentence is hidden, beginning at a place that depends on the sentence, and these count.
    """

    def states(params, batch):
        hidden = jnp.asarray(batch.mask)
        visible = None
        if not model.body.excludes_own_token:
            hidden &= (jnp.arange(batch.mask.shape[1]) + batch.index[:, None]) % 5 == 0
            visible = batch.mask & ~hidden
        return model.apply({"params": params}, batch, visible=visible).states, hidden

    return _mean_state(states, params, words, dataset, tokens)


def _mean_state(states: Any, params: Any, words: WholeWords, dataset: Any, tokens: int | None) -> WordVectors:
    """Averages `states(params, batch)` = (states [b, l, h], counted bool [b, l]) over each word's entries."""

    @functools.partial(jax.jit, donate_argnums=0)
    def add(sums, params, batch, rows):
        total, count = sums
        found, counted = states(params, batch)
        counted = (counted & (batch.index >= 0)[:, None] & (rows >= 0)).reshape(-1)
        weighted = jnp.where(counted[:, None], found.reshape(counted.size, -1), 0.0).astype(total.dtype)
        rows = jnp.where(counted, rows.reshape(-1), 0)
        return total.at[rows].add(weighted), count.at[rows].add(counted)

    width = jax.eval_shape(states, params, dataset.batch(0))[0].shape[-1]
    sums = jnp.zeros((len(words.words), width), jnp.float32), jnp.zeros(len(words.words), jnp.int32)
    for batch in _training_batches(dataset, tokens):
        sums = add(sums, params, batch, words.rows(batch))
    total, count = jax.device_get(sums)
    seen = np.flatnonzero(count)
    kept = tuple(words.words[row] for row in seen)
    means = total[seen] / count[seen, None].astype(np.float32)
    return WordVectors(kept, means, words.counts[seen])


def _groups(batch: Batch) -> Iterator[tuple[int, int, int]]:
    """Yields (sentence, start, end) of each run of real entries that belong to one whole word."""
    for sentence in np.flatnonzero(np.asarray(batch.index) >= 0):
        length = int(np.sum(batch.mask[sentence]))
        starts = np.flatnonzero(np.diff(batch.groups[sentence, :length], prepend=-1))
        for start, end in zip(starts, [*starts[1:], length], strict=True):
            yield int(sentence), int(start), int(end)


def _training_batches(dataset: Any, tokens: int | None) -> Iterable[Batch]:
    """Yields one epoch's training batches, or its first ones that together hold at least so many tokens."""
    seen = 0
    for step in range(dataset.steps_per_epoch):
        if tokens is not None and seen >= tokens:
            return
        batch = dataset.batch(step)
        seen += int(np.sum(batch.mask))
        yield batch
