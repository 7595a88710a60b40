"""Training curves hold the numbers of metrics.jsonl."""

import numpy as np

from odeembed.plots.training import training_curves

RECORDS = [
    {"step": 50, "kind": "train", "loss": 7.0},
    {"step": 100, "kind": "train", "loss": 6.0},
    {"step": 100, "kind": "eval", "nll": 5.5, "perplexity": 244.7},
]


def test_each_run_is_a_line_in_both_panels():
    left, right = training_curves({"jump": RECORDS, "gru": RECORDS[:1]}).axes
    np.testing.assert_array_equal(left.lines[0].get_xydata(), [[50, 7], [100, 6]])
    np.testing.assert_array_equal(right.lines[0].get_xydata(), [[100, 244.7]])
    assert len(right.lines[1].get_xydata()) == 0
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["jump", "gru"]
