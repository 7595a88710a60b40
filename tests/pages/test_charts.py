"""Charts as plotly.js takes them: valid for its schema, and with the numbers that they were given."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from odeembed.evaluate.hidden_path import HiddenPath
from odeembed.evaluate.sentence_path import SentencePath
from odeembed.evaluate.vectors import WordVectors
from odeembed.pages import charts
from odeembed.plots.run import DensityInTime


def valid(chart: dict[str, Any]) -> go.Figure:
    """The chart as plotly's own schema has it; raises what it refuses."""
    traces = [{key: value for key, value in trace.items() if key != "style"} for trace in chart["traces"]]
    layout = {key: value for key, value in chart["layout"].items() if key != "scrollZoom"}
    assert len(chart["text"]) > 8
    return go.Figure(traces, layout)


RECORDS = [
    {"kind": "train", "step": 1, "loss": 3.0},
    {"kind": "train", "step": 2, "loss": None},
    {"kind": "eval", "step": 2, "perplexity": 9.0},
    {"kind": "train", "step": 3, "loss": 1 / 3},
]


def test_a_curve_has_the_numbers_of_its_lines():
    chart = charts.curve({"<a>": RECORDS, "b": RECORDS[:1]}, "train", "loss", "loss")
    assert chart is not None
    first, second = valid(chart).data
    assert (first.x, first.y, first.name) == ((1, 3), (3.0, 0.33333), "&lt;a&gt;")
    assert (second.x, second.y) == ((1,), (3.0,))
    assert chart["layout"]["showlegend"]


def test_a_curve_of_nothing_is_none():
    assert charts.curve({"a": RECORDS}, "eval", "accuracy", "accuracy") is None


def test_bars_and_shares_are_valid():
    (bar,) = valid(charts.bars(["1", "<2>"], [0.5, None], "gap", "accuracy")).data
    assert (bar.x, bar.y) == (("1", "&lt;2&gt;"), (0.5, None))
    parts = valid(charts.shares({"step": 2.0, "data": 1.0}, "seconds")).data
    assert [(part.name, part.x) for part in parts] == [("step", (2.0,)), ("data", (1.0,))]


def test_the_map_writes_the_groups_out_and_shows_the_others_as_dots():
    rng = np.random.default_rng(0)
    words = (*(f"w{number}" for number in range(20)), "<i>")
    vectors = WordVectors(words, rng.normal(size=(21, 5)).astype(np.float32), np.arange(21)[::-1])
    figure = valid(charts.word_map(vectors, [["w0", "w1", "absent"], ["<i>", "w2"]], background=10))
    cloud, first, second = figure.data
    assert cloud.text == words[:10]
    assert (first.text, second.text) == (("w0", "w1"), ("&lt;i&gt;", "w2"))
    np.testing.assert_allclose(cloud.x[0], first.x[0])  # w0 stands at one place


def test_a_path_keeps_its_numbers_to_five_digits():
    plane = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    hidden = HiddenPath(plane, (0.5, 0.25), plane[:1], np.ones((1, 1, 2), np.float32))
    path = SentencePath(
        ("a", "b"),
        np.array([True, False]),
        np.array([0.0, 1.0], np.float32),
        ("b",),
        np.array([[0.123456789], [0.5]]),
        (("b", "a"), ("b", "a")),
        np.array([[0.6, 0.4], [0.5, 0.5]]),
        hidden,
    )
    found = charts.sentence(path)
    assert found["probability"] == [[0.12346], [0.5]]
    assert found["visible"] == [True, False] and found["ticks"] == [0, 1]
    assert found["likeliest"] == [["b", "a"], ["b", "a"]]
    assert found["plane"] == [[0.0, 1.0], [2.0, 3.0]] and found["field"] == [[[1.0, 1.0]]]


@pytest.mark.parametrize("points", [3, 100])
def test_moving_points_have_a_frame_for_each_time(points):
    path = np.random.default_rng(0).normal(size=(7, 4, 2))
    density = DensityInTime(path[:, -1], 2.0, np.zeros((2, 2)), [0.0, 0.5, 0.75, 1.0], path)
    found = charts.moving(density, points)
    assert np.shape(found["frames"]) == (4, 2, min(points, 7))
    np.testing.assert_allclose(found["frames"][1][0], path[:points, 1, 0], atol=5e-4)
