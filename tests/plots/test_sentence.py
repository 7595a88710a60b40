"""The picture of a sentence shows its path's numbers, its tokens, and which of them were hidden."""

import numpy as np

from odeembed.evaluate.hidden_path import HiddenPath
from odeembed.evaluate.sentence_path import SentencePath
from odeembed.plots.sentence import path_in_time


def test_lines_ticks_and_bands():
    times = np.linspace(0, 2, 9)
    probability = np.stack([np.sin(times) / 2, np.full(9, 0.1)], 1)
    tokens, words = ("the", "cat", "sat"), ("cat", "dog")
    hidden = HiddenPath(np.zeros((9, 2)), (0.0, 0.0), np.zeros((0, 2)), np.zeros((1, 0, 2)))
    seen = np.array([True, False, True])
    path = SentencePath(tokens, seen, times, words, probability, (words,) * 9, probability, hidden)
    ax = path_in_time(path).axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["the", "[cat]", "sat"]
    np.testing.assert_allclose([line.get_ydata() for line in ax.lines], probability.T)
    (band,) = ax.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (0.5, 1.5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["cat", "dog"]
