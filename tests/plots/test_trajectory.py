"""The picture of a trajectory shows its numbers in four panels, or three without attention."""

from dataclasses import replace

import numpy as np

from odeembed.evaluate.trajectory import Handover, Said, Trajectory
from odeembed.plots.figure import GREY
from odeembed.plots.trajectory import described, save_trajectory, trajectory_picture

TIMES = np.array([-1, -0.5, 0, 0, 0.5, 1])
CURVE = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.0])
PATH = Trajectory(
    source=("le", "chat"),
    said=(Said("cat", 0, -1.0, 0.0, 0.7, 1.0, "chat"), Said("(end)", 1, 0.0, 1.0, 1.0, 2.0, "le")),
    times=TIMES,
    words=("(end)", "cat"),
    probability=np.stack([1 - CURVE, CURVE], axis=1),
    winner=("cat",) * 3 + ("(end)",) * 3,
    handovers=(Handover(0.0, "cat", "(end)"),),
    speed=np.arange(6.0),
    plane=np.stack([np.arange(6.0), np.arange(6.0) ** 2], axis=1),
    variance=(0.75, 0.2),
    attention=np.stack([CURVE, 1 - CURVE], axis=1),
    agrees=1.0,
)


def test_each_panel_shows_its_numbers():
    words, plane, speed, attention = trajectory_picture(PATH).axes
    curves = [line for line in words.lines if line.get_color() != GREY]
    np.testing.assert_allclose([line.get_ydata() for line in curves], PATH.probability.T)
    assert [text.get_text() for text in words.get_legend().get_texts()] == ["(end)", "cat"]
    (change,) = (line for line in words.lines if line.get_color() == GREY)
    assert list(change.get_xdata()) == [0, 0]
    for ax in (words, speed, attention):
        assert [label.get_text() for label in ax.get_xticklabels()] == ["cat", "(end)"]
        assert list(ax.get_xticks()) == [0, 1]
    assert [line.get_ydata().tolist() for line in speed.lines] == [[0, 1, 2], [3, 4, 5]]
    dots = [line for line in plane.lines if line.get_marker() == "o"]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in dots] == [(2, 4), (5, 25)]
    (jump,) = (line for line in plane.lines if line.get_linestyle() == ":")
    assert jump.get_xdata().tolist() == [2, 3]
    assert [text.get_text() for text in plane.texts] == ["cat", "(end)"]
    assert plane.get_xlabel() == "first direction (75%)"
    np.testing.assert_allclose(attention.images[0].get_array(), PATH.attention[[0, 1, 2, 4, 5]].T)
    assert attention.images[0].get_extent() == [-1.25, 1.25, 1.5, -0.5]
    assert [label.get_text() for label in attention.get_yticklabels()] == ["le", "chat"]


def test_without_attention_there_are_three():
    path = replace(PATH, attention=None)
    assert len(trajectory_picture(path).axes) == 3
    assert "attention" in described(PATH) and "attention" not in described(path)


def test_the_file_says_what_it_shows(tmp_path):
    written = save_trajectory(PATH, tmp_path / "path.svg").read_text()
    assert 'while it says "cat (end)" for "le chat"' in written.replace("&quot;", '"')
    assert "Words hand over: cat to (end) at 0.00." in described(PATH)
    assert "hand over: none." in described(replace(PATH, handovers=()))
