"""Sentences of a split in the order of its text, and how far others agree with them."""

import pytest

from odeembed.data.padding import padded
from odeembed.evaluate.held_out import agreement, held_out, held_out_pairs, pair_batches


class Pairs:
    """Three pairs, the last one first."""

    def evaluation(self, split):
        yield padded([[7, 8]], [2], (2, 4), 0)._replace(target=padded([[9]], [2], (2, 3), 0))
        first = padded([[2], [3, 4, 5]], [0, 1], (3, 4), 0)
        yield first._replace(target=padded([[6, 6], []], [0, 1], (3, 3), 0))


def test_sentences_come_in_the_order_of_the_text(coded):
    assert held_out(coded.dataset) == coded.sentences
    assert held_out_pairs(coded.dataset) == (coded.sentences, coded.sentences)
    assert held_out_pairs(Pairs()) == ([[2], [3, 4, 5], [7, 8]], [[6, 6], [], [9]])


def test_pairs_stay_together_in_batches_of_few_shapes():
    sources = [[2] * (1 + 17 * (n % 2)) for n in range(40)]
    targets = [[3 + n] * (n % 3) for n in range(40)]
    found, shapes = {}, set()
    for batch in pair_batches(sources, targets, 0):
        shapes.add((batch.mask.shape, batch.target.mask.shape))
        assert batch.index.tolist() == batch.target.index.tolist()
        for row, number in enumerate(batch.index.tolist()):
            if number >= 0:
                found[number] = [half.values[row][half.mask[row]].tolist() for half in (batch, batch.target)]
    assert [found[n] for n in range(40)] == [list(pair) for pair in zip(sources, targets, strict=True)]
    assert shapes == {((32, 16), (32, 16)), ((32, 32), (32, 16))}


def test_agreement_by_hand():
    exact, tokens = agreement([[2, 3], [4, 5, 6], [7]], [[2, 3], [4, 9, 6, 5], []])
    assert exact == pytest.approx(1 / 3)
    assert tokens == pytest.approx((2 + 2 + 0) / (2 + 4 + 1))
