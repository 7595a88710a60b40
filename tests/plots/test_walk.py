"""The picture of a walk shows its sentences, their shares of the way, and the distances to both ends."""

import numpy as np

from odeembed.plots.figure import GREY
from odeembed.plots.walk import save_walk, walk_picture

SENTENCES = ["a cat sat", "a dog sat", "the dog sat", "the dog ran"]


def test_distances_and_texts():
    ax = walk_picture([0.0, 0.3, 0.7, 1.0], SENTENCES).axes[0]
    first, last = (line.get_xdata() for line in ax.lines)
    np.testing.assert_array_equal(first, [0, 1, 2, 3])
    np.testing.assert_array_equal(last, [3, 2, 1, 0])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.00", "0.30", "0.70", "1.00"]
    assert [text.get_text() for text in ax.texts] == SENTENCES
    assert [text.get_fontweight() for text in ax.texts] == ["bold", "normal", "normal", "bold"]
    assert GREY not in [text.get_color() for text in ax.texts]


def test_the_file_says_what_it_shows(tmp_path):
    path = save_walk([0.0, 0.3, 0.7, 1.0], SENTENCES, tmp_path / "walk.png")
    assert b"A walk in 4 steps from 'a cat sat' to 'the dog ran'." in path.read_bytes()


def test_long_sentences_are_cut():
    ax = walk_picture([0.0, 1.0], ["word " * 40, "b"]).axes[0]
    assert ax.texts[0].get_text().endswith("…") and len(ax.texts[0].get_text()) < 80
