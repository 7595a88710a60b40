"""Spirals: where they are, how they are seen, and what cannot be asked of them."""

import numpy as np
import pytest

from odeembed.data.spirals import Spirals
from odeembed.errors import ConfigError


def test_paths_are_spirals_one_after_the_other_and_what_is_seen_lies_around_them():
    data = Spirals(count=400, observed=30, noise=0.05, turn=300.0, growth=0.01)
    found = data.recordings()
    assert found.channels == ("x", "y") and found.labels.tolist() == [0, 1] * 200
    path = np.concatenate([found.truth[name][1] for name in ("before", "between", "after")], axis=1)
    ts = np.concatenate([found.truth[name][0] for name in ("before", "between", "after")])
    assert ts.tolist() == list(range(-100, 200))
    radius = np.linalg.norm(path, axis=-1)
    np.testing.assert_allclose(np.diff(radius, axis=1), 0.01, rtol=1e-9)
    angle = np.unwrap(np.arctan2(path[..., 1], path[..., 0]), axis=1)
    sign = np.where(np.arange(400) % 2, -1, 1)[:, None]
    np.testing.assert_allclose(np.diff(angle, axis=1), sign * 2 * np.pi / 300 * np.ones(299), rtol=1e-9)
    begin = radius[:, 100] / 0.01
    assert begin.min() >= 100 and begin.max() <= 800 and np.ptp(begin) > 600
    errors = np.stack(
        [
            ys - path[i, 100 + ts.astype(int)]
            for i, (ts, ys) in enumerate(zip(found.times, found.values, strict=True))
        ]
    )
    assert errors.shape == (400, 30, 2) and abs(errors.std() - 0.05) < 0.001
    places = np.stack(found.times)
    assert (np.diff(places, axis=1) > 0).all() and places.min() == 0 and places.max() == 99


def test_the_same_spirals_each_time_and_others_by_another_seed():
    one, two, other = (Spirals(count=3, seed=seed).recordings() for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.values, two.values)
    assert (np.stack(one.values) != np.stack(other.values)).all()


def test_what_cannot_be_is_refused():
    for settings, message in (
        ({"observed": 101}, "observed must lie in 1..100"),
        ({"count": 0}, "count must be at least 1"),
        ({"begins": (50.0, 100.0)}, "rising numbers from 100 on"),
        ({"begins": (300.0, 200.0)}, "rising numbers from 100 on"),
    ):
        with pytest.raises(ConfigError, match=message):
            Spirals(**settings)
