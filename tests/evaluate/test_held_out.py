"""Sentences of a split in the order of its text, and how far others agree with them."""

import pytest

from odeembed.data.padding import padded
from odeembed.evaluate.held_out import agreement, held_out, held_out_pairs


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


def test_agreement_by_hand():
    exact, tokens = agreement([[2, 3], [4, 5, 6], [7]], [[2, 3], [4, 9, 6, 5], []])
    assert exact == pytest.approx(1 / 3)
    assert tokens == pytest.approx((2 + 2 + 0) / (2 + 4 + 1))
