"""The panels of a density: three above, a frame a time below."""

import numpy as np

from odeembed.plots.density import density_and_path


def test_every_time_is_a_frame_and_every_panel_shows_the_same_square():
    rng, ts = np.random.default_rng(0), [0.1 * number for number in range(10)]
    points, path = rng.normal(size=(30, 2)), rng.normal(size=(20, 10, 2))
    density = np.arange(25.0).reshape(5, 5)
    figure = density_and_path(points, points + 1, density, 4.0, path, ts)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == ["data", "drawn from the model", "density of the model"]
    assert titles[3:] == [f"t = {t:.2g}" for t in ts]
    assert {(*ax.get_xlim(), *ax.get_ylim()) for ax in figure.axes} == {(-4.0, 4.0, -4.0, 4.0)}
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), points)
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array(), density)
    np.testing.assert_array_equal(figure.axes[8].collections[0].get_offsets(), path[:, 5])
