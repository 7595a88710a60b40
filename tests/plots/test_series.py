"""Pictures of series: every point, path and name is drawn."""

import numpy as np

from odeembed.plots.series import channels_over_time, paths_in_the_plane

RNG = np.random.default_rng(0)


def test_paths_lie_beside_the_truth_and_what_was_seen():
    seen = [RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2))]
    truth = {name: RNG.normal(size=(5, 6, 2)) for name in ("between", "after")}
    found = {"after": RNG.normal(size=(5, 6, 2))}
    figure = paths_in_the_plane(seen, truth, found)
    axes = figure.axes
    assert len(axes) == 2
    for number, ax in enumerate(axes):
        lines = [line.get_xydata() for line in ax.get_lines()]
        for drawn, path in zip(lines, (truth["between"], truth["after"], found["after"]), strict=True):
            np.testing.assert_allclose(drawn, path[number])
        np.testing.assert_allclose(np.asarray(ax.collections[0].get_offsets()), seen[number])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["truth", "seen", "after"]


def test_channels_have_their_names_and_gaps():
    times, seen = [np.arange(3.0)], [np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 6.0]])]
    ts, found = [np.linspace(0, 2, 7)], [RNG.normal(size=(7, 2))]
    figure = channels_over_time(times, seen, ts, found, ["heart", "breath"])
    (ax,) = figure.axes
    for channel, line in enumerate(ax.get_lines()):
        np.testing.assert_allclose(line.get_xydata(), np.stack([ts[0], found[0][:, channel]], 1))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["heart", "breath"]
