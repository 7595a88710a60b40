"""Which examples are in a batch: those of one size in any order, others by length; pure in seed and step."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Int32, Int64

from odeembed.errors import ConfigError

_ROWS_MULTIPLE = 8  # rows divide over 2, 4 or 8 devices


def rows_of(entries: int, bucket: int) -> int:
    """Rows of a global batch of so many entries whose examples are padded to `bucket`: a multiple of 8."""
    return entries // bucket // _ROWS_MULTIPLE * _ROWS_MULTIPLE


class Share(NamedTuple):
    """Which rows of every global training batch a host gets: those of number `shard`, `shard + shards`, ...

    Attributes:
      shard: which host it is, from 0.
      shards: number of hosts.
    """

    shard: int = 0
    shards: int = 1

    def of(self, rows: Any) -> Any:
        """This host's part of an array of rows."""
        return rows[self.shard :: self.shards]

    def check(self, sizes: Iterable[int], settings: str) -> None:
        """Refuses a number out of range, and batches that the hosts do not divide.

        Args:
          sizes: the rows of the global batches that occur.
          settings: what decides them, e.g. "data.rows".

        Raises:
          ConfigError: saying which.
        """
        if not 0 <= self.shard < self.shards:
            raise ConfigError(
                f"shard must lie in 0..{self.shards - 1}; got {self.shard}. Number the hosts from 0."
            )
        for rows in sizes:
            if rows % self.shards:
                raise ConfigError(
                    f"the {rows} rows of a batch do not divide over {self.shards} hosts. Choose {settings} so that "
                    f"they do."
                )


WHOLE = Share()


def check_buckets(buckets: tuple[int, ...], entries: int, name: str) -> None:
    """Refuses lengths that do not rise, and batches too small for the last one.

    Args:
      entries: of a batch, padding included; `name`: what the setting is called.

    Raises:
      ConfigError: saying which.
    """
    if not 1 <= len(buckets) <= 4 or sorted(set(buckets)) != list(buckets):
        raise ConfigError(
            f"buckets must be one to four rising lengths; got {buckets}. Use e.g. (16, 32, 64)."
        )
    if entries < _ROWS_MULTIPLE * buckets[-1]:
        raise ConfigError(
            f"{name} must hold {_ROWS_MULTIPLE} rows of the last bucket's {buckets[-1]} {name.rpartition('_')[2]}; got "
            f"{entries}. Use at least {_ROWS_MULTIPLE * buckets[-1]}, or shorter buckets."
        )


class Permuted:
    """Batches of examples that are all of one size, `batch(step)` a pure function of seed and step."""

    def __init__(self, count: int, rows: int, seed: int) -> None:
        """Of so many training examples, `rows` in a batch; the seed decides the order."""
        self._count, self._rows, self._seed = count, rows, seed
        self._epoch: tuple[int, Int32[np.ndarray, " n"]] = (-1, np.zeros(0, np.int32))

    @property
    def steps_per_epoch(self) -> int:
        """Training batches an epoch; a remainder waits for another."""
        return self._count // self._rows

    def batch(self, step: int) -> Int32[np.ndarray, " b"]:
        """The examples of the training batch of a step: every epoch permutes them by default_rng([seed, epoch])."""
        epoch, place = divmod(step, self.steps_per_epoch)
        known, order = self._epoch
        if known != epoch:
            order = np.random.default_rng([self._seed, epoch]).permutation(self._count).astype(np.int32)
            self._epoch = (epoch, order)  # one assignment: a prefetching thread may ask at the same time
        return order[place * self._rows :][: self._rows]

    def evaluation(self, count: int) -> Iterator[Int32[np.ndarray, " b"]]:
        """Yields each of so many other examples once; -1 fills up the last batch."""
        for start in range(0, count, self._rows):
            index = np.arange(start, start + self._rows, dtype=np.int32)
            yield np.where(index < count, index, np.int32(-1))


class Buckets:
    """The batches of training examples, `batch(step)` a pure function of seed and step.

    Attributes:
      lengths: of the training examples.
      shapes: (rows, length) of the global batches that occur, by rising length; none where there are too few examples.
      members: the training examples of each shape.
    """

    def __init__(
        self, lengths: Int64[np.ndarray, " n"], buckets: tuple[int, ...], entries: int, seed: int
    ) -> None:
        """Assigns every example to a length.

        Args:
          buckets: rising lengths; none of `lengths` is above the last.
          entries: of a batch, padding included; see `rows_of`.
          seed: decides the order.
        """
        self.lengths, self._buckets, self._entries, self._seed = lengths, buckets, entries, seed
        self.shapes, self.members = self._assigned()
        self._epoch: tuple[int, list[tuple[int, Int[np.ndarray, " b"]]]] = (-1, [])

    @property
    def steps_per_epoch(self) -> int:
        """Training batches an epoch."""
        return sum(len(members) // rows for (rows, _), members in zip(self.shapes, self.members, strict=True))

    def batch(self, step: int) -> tuple[int, Int[np.ndarray, " b"]]:
        """The length and the examples of the global training batch of a step.

        In every epoch the examples of each bucket are permuted by default_rng([seed, epoch]) and cut into full
        batches, a remainder waits for another epoch, and then all batches are permuted.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._plan(epoch)[place]

    def evaluation(self, lengths: Int64[np.ndarray, " n"]) -> Iterator[tuple[int, Int[np.ndarray, " b"]]]:
        """Yields lengths and examples so that every example of other lengths comes once, -1 filling up the last batch.

        Only examples longer than all that are trained on need one more shape, that of the last bucket.
        """
        buckets = np.searchsorted([length for _, length in self.shapes], lengths)
        longest = self._buckets[-1]
        for number, (rows, length) in enumerate([*self.shapes, (self._rows(longest), longest)]):
            members = np.flatnonzero(buckets == number).astype(np.int32)
            for start in range(0, len(members), rows):
                index = np.full(rows, -1, np.int32)
                part = members[start : start + rows]
                index[: len(part)] = part
                yield length, index

    def histogram(self, lengths: Int64[np.ndarray, " n"] | None = None) -> Int64[np.ndarray, " buckets"]:
        """How many examples fall into each bucket; by default of the training examples."""
        lengths = self.lengths if lengths is None else lengths
        return np.bincount(np.searchsorted(self._buckets, lengths), minlength=len(self._buckets))

    def _rows(self, bucket: int) -> int:
        return rows_of(self._entries, bucket)

    def _assigned(self) -> tuple[tuple[tuple[int, int], ...], list[Int[np.ndarray, " n"]]]:
        """The shapes of the buckets that fill a batch, and the training examples of each.

        The examples of a bucket that does not fill a batch are padded to the next longer bucket that does. If there is
        none, the last bucket takes the longest examples of all, as many as make a batch: none is left out for ever.
        """
        lengths, longest = self.lengths, self._buckets[-1]
        kept, waiting = self._filled(lengths)
        if len(lengths) < self._rows(longest) and (waiting or not kept):
            return (), []
        order = np.argsort(lengths, kind="stable") if waiting else np.zeros(0, np.int64)
        lent = order[len(order) - self._rows(longest) :] if waiting else order
        if waiting:
            shorter = self._filled(np.delete(lengths, lent))[0]
            kept = [*(bucket for bucket in shorter if bucket < longest), longest]
        buckets = np.searchsorted(kept, lengths)
        buckets[lent] = len(kept) - 1
        members = [np.flatnonzero(buckets == number).astype(np.int32) for number in range(len(kept))]
        return tuple((self._rows(bucket), bucket) for bucket in kept), members

    def _filled(self, lengths: Int64[np.ndarray, " n"]) -> tuple[list[int], int]:
        """The buckets that fill a batch, poorer ones joined to the next, and how many examples then remain."""
        kept, waiting = [], 0
        for bucket, count in zip(self._buckets, self.histogram(lengths).tolist(), strict=True):
            waiting += count
            if waiting >= self._rows(bucket):
                kept.append(bucket)
                waiting = 0
        return kept, waiting

    def _plan(self, epoch: int) -> list[tuple[int, Int[np.ndarray, " b"]]]:
        """Length and examples of every batch of an epoch; the last epoch asked for is remembered."""
        known, plan = self._epoch
        if known != epoch:
            rng = np.random.default_rng([self._seed, epoch])
            batches = [
                (length, part)
                for (rows, length), members in zip(self.shapes, self.members, strict=True)
                for part in rng.permutation(members)[: len(members) // rows * rows].reshape(-1, rows)
            ]
            plan = [batches[place] for place in rng.permutation(len(batches))]
            self._epoch = (epoch, plan)  # one assignment: a prefetching thread may ask at the same time
        return plan
