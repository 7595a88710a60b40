"""The plane of largest variance, always the same way round."""

import numpy as np
import pytest

from odeembed.errors import UnknownWordError
from odeembed.evaluate.vectors import WordVectors
from odeembed.plots.embedding_map import embedding_map, project


@pytest.fixture
def vectors():
    matrix = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    return WordVectors(tuple(f"w{i}" for i in range(40)), matrix, np.arange(40, 0, -1))


def test_the_plane_holds_the_largest_variance(vectors):
    words = vectors.words[:20]
    places = project(vectors, words).places
    unit = vectors.unit[:20]
    variance = np.linalg.svd(unit - unit.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose((places**2).sum(0), variance[:2], rtol=1e-4)


def test_named_words_are_drawn_at_their_places_and_unknown_ones_left_out(vectors):
    ax = embedding_map(vectors, [["w1", "w2", "nowhere"], ["w3"]], background=10).axes[0]
    assert [text.get_text() for text in ax.texts] == ["w1", "w2", "w3"]
    np.testing.assert_allclose([text.xy for text in ax.texts], project(vectors, ["w1", "w2", "w3"]).places)
    assert len(ax.collections[0].get_offsets()) == 10


def test_an_unknown_word_cannot_be_projected(vectors):
    with pytest.raises(UnknownWordError):
        project(vectors, ["w1", "nowhere"])
