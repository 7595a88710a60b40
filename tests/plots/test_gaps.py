"""Bars and lines have the heights of the metrics."""

import itertools

import numpy as np

from odeembed.plots.gaps import by_gap, by_shift

METRICS = {f"perplexity/gap{gap}": 10.0 * gap for gap in (1, 2, 4, 8)}
SHIFTS = {"accuracy/shift-0.5": 0.1, "accuracy": 0.3, "accuracy/shift+0.25": 0.2, "accuracy/gap1": 0.9}


def test_a_bar_for_each_gap_and_model():
    ax = by_gap({"jump": METRICS, "gru": METRICS | {"perplexity/gap8": None}}).axes[0]
    heights = [[bar.get_height() for bar in bars] for bars in ax.containers]
    np.testing.assert_array_equal(heights, [[10, 20, 40, 80], [10, 20, 40, np.nan]])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "2", "4", "8"]


def test_bars_of_one_gap_do_not_overlap():
    ax = by_gap(dict.fromkeys("abc", METRICS)).axes[0]
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bars in ax.containers for bar in bars)
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(edges))


def test_the_accuracy_at_the_time_is_of_the_same_tokens_where_it_was_measured():
    line = by_shift({"jump": SHIFTS | {"accuracy/shift+0": 0.35}}).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [0.1, 0.35, 0.2])


def test_shifts_are_in_order_with_the_time_itself_among_them():
    line = by_shift({"jump": SHIFTS}).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[-0.5, 0.1], [0, 0.3], [0.25, 0.2]])
