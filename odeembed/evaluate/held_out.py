"""The sentences of a held-out split, and how far others agree with them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from odeembed.batch import Batch
from odeembed.data.padding import batches, padded, padded_length
from odeembed.models.seq2seq import target_of

Ids = list[list[int]]


def held_out(dataset: Any, split: str = "test") -> Ids:
    """The token ids of every sentence of a split, in their order in the text."""
    return held_out_pairs(dataset, split)[0]


def held_out_pairs(dataset: Any, split: str = "test") -> tuple[Ids, Ids]:
    """The token ids of every source of a split and of its target (itself where it has none), in the text's order."""
    found = {}
    for batch in dataset.evaluation(split):
        halves = batch, target_of(batch)
        for row in np.flatnonzero(batch.index >= 0):
            found[int(batch.index[row])] = [half.values[row][half.mask[row]].tolist() for half in halves]
    ordered = [found[number] for number in sorted(found)]
    return [source for source, _ in ordered], [target for _, target in ordered]


def pair_batches(sources: Ids, targets: Ids, pad_id: int) -> Iterator[Batch]:
    """Pairs as batches of few shapes; each row's number tells which pair it is."""
    for batch in batches(sources, pad_id):
        numbers = batch.index[batch.index >= 0].tolist()
        rows = [targets[number] for number in numbers]
        shape = len(batch.index), padded_length(max(map(len, rows)))
        yield batch._replace(target=padded(rows, numbers, shape, pad_id))


def agreement(said: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> tuple[float, float]:
    """The share of sentences that are as wanted, and that of tokens at their places, of the longer of two sentences."""
    pairs = list(zip(said, wanted, strict=True))
    exact = [list(one) == list(other) for one, other in pairs]
    right = sum(sum(a == b for a, b in zip(one, other, strict=False)) for one, other in pairs)
    return float(np.mean(exact)), right / max(sum(max(len(one), len(other)) for one, other in pairs), 1)
