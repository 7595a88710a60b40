"""A panel a problem and a line a method, errors of 0 left out."""

import numpy as np

from odeembed.plots.orders import convergence, described

ROWS = [
    {"problem": problem, "method": method, "order": order, "evaluations": n, "error": scale * n**-order}
    for problem, scale in (("known", 1.0), ("network", 2.0))
    for method, order in (("euler", 1), ("midpoint", 2))
    for n in (2, 4, 8)
]
ROWS.append(ROWS[-1] | {"evaluations": 16, "error": 0.0})


def test_lines_are_the_rows_and_the_legend_tells_the_orders():
    figure = convergence(ROWS)
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("known", "network")
    np.testing.assert_allclose(left.lines[1].get_xydata(), [[2, 0.25], [4, 0.0625], [8, 0.015625]])
    assert len(right.lines[1].get_xydata()) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["euler (1)", "midpoint (2)"]
    assert described(ROWS).endswith("by euler, midpoint.")


def test_where_colours_begin_again_the_marks_differ():
    methods = [ROWS[0] | {"method": str(number)} for number in range(9)]
    lines = convergence(methods).axes[0].lines
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == 9
