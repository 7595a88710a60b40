"""The known densities: each has mass 1, and its points are drawn from it."""

from typing import get_args

import numpy as np
import pytest

from odeembed.data.densities import Pattern, ToyDensity
from odeembed.errors import ConfigError

SIDE = 0.08
AXIS = np.arange(-7 + SIDE / 2, 7, SIDE)
SQUARE = np.stack(np.meshgrid(AXIS, AXIS), -1).reshape(-1, 2)


@pytest.mark.parametrize("pattern", get_args(Pattern))
def test_points_are_drawn_from_the_density_that_is_told(pattern):
    known = ToyDensity(pattern, 20_000)
    density = np.exp(known.log_density(SQUARE)) * SIDE**2
    assert density.sum() == pytest.approx(1.0, abs=1e-6)
    points = known.rows()
    assert points.shape == (20_000, 2) and np.abs(points).max() < 5
    rng = np.random.default_rng(1)
    for _ in range(20):  # shares of half planes and of discs
        direction, offset = rng.normal(size=2), rng.normal()
        centre, radius = rng.normal(size=2) * 2, rng.uniform(0.5, 3)
        for inside in (
            lambda x: x @ direction < offset,  # noqa: B023
            lambda x: np.linalg.norm(x - centre, axis=-1) < radius,  # noqa: B023
        ):
            expected, found = density[inside(SQUARE)].sum(), inside(points).mean()
            assert abs(found - expected) < 4.5 * np.sqrt(max(expected * (1 - expected), 1e-4) / 20_000) + 2e-3


def test_the_points_depend_on_pattern_count_and_seed_alone():
    same = ToyDensity("moons", 100, 3).rows()
    np.testing.assert_array_equal(same, ToyDensity("moons", 100, 3).rows())
    assert not np.isin(same, ToyDensity("moons", 100, 4).rows()).any()


def test_outside_of_the_checkerboard_there_is_nothing():
    found = ToyDensity("checkerboard").log_density(
        np.array([[0.5, 0.5], [0.5, -0.5], [4.5, 0.5], [-1.0, -1.0]])
    )
    np.testing.assert_allclose(found, [-np.log(32), -np.inf, -np.inf, -np.log(32)])


def test_no_points_are_refused():
    with pytest.raises(ConfigError, match="count must be at least 1; got 0"):
        ToyDensity(count=0)
