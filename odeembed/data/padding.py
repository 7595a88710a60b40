"""Sentences of any length as batches of a few shapes, for what is measured or decoded outside training."""

import itertools
from collections.abc import Iterator

import numpy as np

from odeembed.batch import Batch

_ROWS, _SHORTEST = 32, 16  # shapes are few: so many rows, lengths 16, 32, 64, ...


def padded(rows: list[list[int]], index: list[int], shape: tuple[int, int], pad_id: int) -> Batch:
    """A batch of token ids with the given numbers; rows to spare are empty and have number -1."""
    values = np.full(shape, pad_id, np.int32)
    mask = np.zeros(shape, bool)
    for row, ids in enumerate(rows):
        values[row, : len(ids)] = ids
        mask[row, : len(ids)] = True
    numbers = np.full(shape[0], -1, np.int32)
    numbers[: len(index)] = index
    times = np.tile(np.arange(shape[1], dtype=np.float32), (shape[0], 1))
    return Batch(values, times, mask, numbers)


def batches(rows: list[list[int]], pad_id: int) -> Iterator[Batch]:
    """Sentences of like length together, in few shapes; each row's number tells which sentence it is."""
    by_length = sorted(range(len(rows)), key=lambda number: padded_length(len(rows[number])))
    for length, group in itertools.groupby(by_length, lambda number: padded_length(len(rows[number]))):
        members = list(group)
        for start in range(0, len(members), _ROWS):
            part = members[start : start + _ROWS]
            yield padded([rows[number] for number in part], part, (_ROWS, length), pad_id)


def padded_length(tokens: int) -> int:
    """The length to which a sentence is padded: a power of two, 16 or more."""
    return max(_SHORTEST, 1 << max(tokens - 1, 0).bit_length())
