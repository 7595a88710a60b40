"""The cost of a classifier's solves as pictures: every number is drawn, and the axes say what they are."""

from odeembed.evaluate.classified import Effort
from odeembed.plots.effort import error_and_time, memory_over_evaluations


def drawn(axes):
    return [line.get_xydata().tolist() for line in axes.get_lines()]


def test_error_evaluations_and_time_over_the_tolerance():
    efforts = [Effort("rtol", 0.1, 0.05, 8.0, 1.5, 0.0), Effort("rtol", 0.01, 0.02, 20.0, 3.0, 0.0)]
    error, evaluations, milliseconds = error_and_time(efforts).axes
    assert drawn(error) == [[[0.1, 5.0], [0.01, 2.0]]]
    assert drawn(evaluations) == [[[0.1, 8.0], [0.01, 20.0]]] and evaluations.xaxis_inverted()
    assert drawn(milliseconds) == [[[0.1, 1.5], [0.01, 3.0]]] and milliseconds.get_xlabel() == "tolerance"
    steps = error_and_time([effort._replace(setting="steps", value=n) for n, effort in enumerate(efforts, 1)])
    assert steps.axes[0].get_xlabel() == "steps" and not steps.axes[0].xaxis_inverted()


def test_memory_has_a_line_a_method():
    rows = [
        {"method": name, "evaluations": count, "bytes": count * size}
        for name, size in (("direct", 2**20), ("backsolve", 2**10))
        for count in (32, 8)
    ]
    (ax,) = memory_over_evaluations(rows).axes
    assert drawn(ax)[0] == [[8.0, 8.0], [32.0, 32.0]] and len(drawn(ax)) == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["direct", "backsolve"]
