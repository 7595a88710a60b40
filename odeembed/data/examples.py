"""The examples of a prepared split, and the pairs: memory-mapped tokens, gathered into batches of one shape."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int64

from odeembed.batch import Batch
from odeembed.data.prepare import OFFSETS, TOKENS

_WIDTH_MULTIPLE = 8  # tokens


class Examples:
    """One split in memory-mapped files: example i is tokens[offsets[i] : offsets[i + 1]].

    Attributes:
      lengths: tokens of each example, which decide its bucket.
      sizes: the same; what a split is counted in.
      noun, remedy: what they are called, and what helps against too few.
    """

    noun, remedy = "examples", "Give more text, or set data.unit to sentence"

    def __init__(self, folder: Path, split: str, at_most: int | None = None, together: int = 1):
        """Opens the files.

        Args:
          folder: of the prepared corpus.
          split: "train", "valid" or "test".
          at_most: the examples after so many tokens are left out, but for the first; None: none.
          together: so many examples in a row are left out together.
        """
        self.tokens: Int[np.ndarray, " tokens"] = _mapped(folder / f"{split}.{TOKENS}", np.int32)
        ends = _mapped(folder / f"{split}.{OFFSETS}", np.int64)
        if at_most is not None:
            whole = int(np.searchsorted(ends[together - 1 :: together], at_most, side="right"))
            ends = ends[: together * max(1, whole)]
        self.offsets: Int64[np.ndarray, " examples+1"] = np.concatenate([np.zeros(1, np.int64), ends])
        self.lengths: Int64[np.ndarray, " examples"] = np.diff(self.offsets)
        self.sizes = self.lengths

    @classmethod
    def open(cls, folder: Path, limits: Mapping[str, int | None]) -> dict[str, "Examples"]:
        """The splits of a corpus, each up to so many tokens."""
        return {split: cls(folder, split, limit) for split, limit in limits.items()}

    def gather(
        self, index: Int[np.ndarray, " b"], length: int
    ) -> tuple[Int[np.ndarray, "b l"], Bool[np.ndarray, "b l"]]:
        """Token ids, 0 (<pad>) after an example's end, and which of them are real; a negative index is an empty row."""
        real = index >= 0
        lengths = np.where(real, self.lengths[index], 0)
        mask = np.arange(length) < lengths[:, None]
        places = np.where(mask, self.offsets[:-1][index][:, None] + np.arange(length), 0)
        return np.where(mask, self.tokens[places], 0).astype(np.int32), mask

    def batch(
        self, index: Int[np.ndarray, " b"], length: int, starts_word: Bool[np.ndarray, " v"] | None
    ) -> Batch:
        """The examples of these numbers, -1 for an empty row, padded to the length of their bucket."""
        values, mask = self.gather(index, length)
        times = np.broadcast_to(np.arange(length, dtype=np.float32), values.shape).copy()
        groups = None if starts_word is None else _word_numbers(starts_word[values])
        return Batch(values=values, times=times, mask=mask, index=np.ascontiguousarray(index), groups=groups)

    def widths(self, length: int) -> dict[str, int]:
        """How long the rows of a batch are in the bucket of a length."""
        return {"length": length}

    def stream(self) -> Iterator[list[int]]:
        """Yields the token ids of every example, in their order in the text."""
        for start, end in zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True):
            yield self.tokens[start:end].tolist()


class Pairs:
    """One split of pairs: the source of pair i is example 2 i of the files, its target example 2 i + 1.

    Attributes:
      lengths: tokens of the longer half of each pair, which decide its bucket.
      sizes: tokens of both halves together; what a split is counted in.
      widest: sources are padded to no more than this, whatever the bucket.
      noun, remedy: what they are called, and what helps against too few.
    """

    noun, remedy = "pairs", "Give more pairs"

    def __init__(self, folder: Path, split: str, widest: int, at_most: int | None = None):
        self._halves = Examples(folder, split, at_most, together=2)
        halves = self._halves.lengths.reshape(-1, 2)
        self.lengths: Int64[np.ndarray, " pairs"] = halves.max(axis=1)
        self.sizes: Int64[np.ndarray, " pairs"] = halves.sum(axis=1)
        self.widest = widest

    @classmethod
    def open(cls, folder: Path, limits: Mapping[str, int | None]) -> dict[str, "Pairs"]:
        """The splits of a corpus, each up to so many tokens; sources are as wide as the longest of all splits.

        The limits have no say in that width, which is a multiple of 8.
        """
        longest = max(int(Examples(folder, split).lengths[::2].max(initial=0)) for split in limits)
        widest = -(-longest // _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE
        return {split: cls(folder, split, widest, limit) for split, limit in limits.items()}

    def batch(
        self, index: Int[np.ndarray, " b"], length: int, starts_word: Bool[np.ndarray, " v"] | None
    ) -> Batch:
        """The sources of the pairs of these numbers, -1 for an empty row; its target is the batch of the targets."""
        source, target = (
            self._halves.batch(2 * index + half, width, starts_word)
            for half, width in enumerate(self.widths(length).values())
        )
        index = np.ascontiguousarray(index)
        return source._replace(index=index, target=target._replace(index=index))

    def widths(self, length: int) -> dict[str, int]:
        """How long the rows of sources and of targets are in the bucket of a length."""
        return {"source_length": min(length, self.widest), "length": length}

    def stream(self) -> Iterator[list[int]]:
        """Yields the token ids of every source, and then those of its target, in their order in the text."""
        return self._halves.stream()


def _word_numbers(starts: Bool[np.ndarray, "b l"]) -> Int[np.ndarray, "b l"]:
    """Numbers the words of each row from 0; every padded position is a word of its own, so no number reaches l."""
    return np.cumsum(starts, axis=1, dtype=np.int32) - starts[:, :1]


def _mapped(path: Path, dtype: type) -> np.ndarray:
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.zeros(0, dtype)
