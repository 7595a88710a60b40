"""A line a method, of the numbers measured."""

import numpy as np

from odeembed.plots.adjoints import costs, described


def row(method, steps=None, rtol=None, **found):
    return {"method": method, "steps": steps, "rtol": rtol, "skipped": None} | found


ROWS = [
    row("replay", steps=64, bytes=3 << 20, error=1e-3),
    row("replay", steps=8, bytes=1 << 20, error=1e-2),
    row("direct", steps=8, bytes=2 << 20, error=1e-2),
    row("direct", steps=64, bytes=9 << 30, skipped="needs too much"),
    row("replay", rtol=1e-3, bytes=5, error=2e-3),
    row("backsolve", steps=8, skipped="has no such thing"),
    row("backsolve", rtol=1e-3, bytes=5, error=4e-3),
]


def test_lines_are_the_rows_in_order():
    left, right = costs(ROWS).axes
    lines = {line.get_label(): line.get_xydata() for line in left.lines}
    np.testing.assert_array_equal(lines["replay"], [[8, 1], [64, 3]])
    np.testing.assert_array_equal(lines["direct"], [[8, 2], [64, 9 * 1024]])
    assert len(lines["backsolve"]) == 0
    errors = {line.get_label(): line.get_xydata() for line in right.lines}
    np.testing.assert_array_equal(errors["backsolve"], [[1e-3, 4e-3]])


def test_every_method_is_in_the_legend_and_in_the_text():
    legend = costs(ROWS).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["replay", "direct", "backsolve"]
    assert described(ROWS).endswith("by replay, direct, backsolve.")
