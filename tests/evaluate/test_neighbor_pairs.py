"""Mean reciprocal rank of pairs on vectors whose ranks are counted by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.evaluate.neighbor_pairs import NeighborPairs, mean_reciprocal_rank, reciprocal_ranks
from odeembed.evaluate.vectors import WordVectors


@pytest.fixture
def vectors():
    radians = np.deg2rad([0, 10, 25, 90])
    matrix = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    return WordVectors(("a", "b", "c", "d"), matrix, np.array([9, 9, 9, 1]))


def test_both_directions_are_ranked(vectors):
    # a's neighbours: b c d; c's: b a d.
    np.testing.assert_allclose(reciprocal_ranks(vectors, (("a", "c"),)), [[1 / 2, 1 / 2]])
    np.testing.assert_allclose(reciprocal_ranks(vectors, (("b", "d"),)), [[1 / 3, 1 / 2]])
    assert mean_reciprocal_rank(vectors, (("a", "c"), ("b", "d"))) == pytest.approx((0.5 + 5 / 12) / 2)


def test_unknown_and_rare_words_earn_nothing(vectors):
    assert reciprocal_ranks(vectors, (("a", "x"), ("a", "d")), min_count=5).tolist() == [[0, 0], [0, 0]]


def test_vectors_that_are_all_alike_earn_little():
    alike = WordVectors(tuple(map(str, range(100))), np.ones((100, 3), np.float32), np.ones(100, int))
    assert mean_reciprocal_rank(alike, (("1", "2"),)) == pytest.approx(1 / 99)


def test_no_pairs_are_an_error(vectors):
    with pytest.raises(ConfigError, match="at least one pair"):
        mean_reciprocal_rank(vectors, ())


def test_a_run_is_scored_in_every_reading(vectors):
    run = SimpleNamespace(
        model=None,
        params={"embedding": {"embedding": np.concatenate([np.zeros((2, 2), np.float32), vectors.matrix])}},
        vocabulary=SimpleNamespace(
            starts_word=None,
            pad_id=0,
            unk_id=1,
            tokens=("<pad>", "<unk>", *vectors.words),
            counts=np.array([0, 0, 9, 9, 9, 1]),
        ),
        dataset=None,
    )
    scores = NeighborPairs(pairs=(("a", "c"), ("a", "x")), removed=())(run)
    assert scores == {"neighbors/mrr/embedding": pytest.approx(0.25), "neighbors/oov/embedding": 1}
