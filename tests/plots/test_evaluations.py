"""A line a kind, from the unregularised point on, and the weights beside the points."""

import numpy as np
from matplotlib.text import Annotation

from odeembed.plots.evaluations import evaluations_curve

POINTS = {
    "none": [(0.0, 100.0, 50.0)],
    "kinetic": [(0.0, 100.0, 50.0), (0.1, 90.0, 51.0), (1.0, 70.0, 60.0)],
    "random times": [(0.0, 100.0, 50.0), (0.4, 95.0, 49.0)],
}


def test_lines_are_the_points_and_weights_stand_beside_them():
    ax = evaluations_curve(POINTS).axes[0]
    lines = {str(line.get_label()): line.get_xydata() for line in ax.lines}
    assert set(lines) == set(POINTS)
    for kind, points in POINTS.items():
        np.testing.assert_array_equal(lines[kind], np.array(points)[:, 1:])
    notes = [text for text in ax.texts if isinstance(text, Annotation)]
    assert [(note.get_text(), note.xy) for note in notes] == [
        ("0.1", (90.0, 51.0)),
        ("1", (70.0, 60.0)),
        ("0.4", (95.0, 49.0)),
    ]
