"""Paths to drive an equation by: through what was seen, with slopes that add up to it."""

import jax.numpy as jnp
import numpy as np

from odeembed.solve.control import control, slope


def test_slopes_add_up_to_what_was_seen_in_each_row_by_its_own_times():
    rng = np.random.default_rng(0)
    ts = np.cumsum(rng.uniform(0.4, 1.5, (3, 6)), axis=1)
    x = rng.normal(size=(3, 6, 2))
    path = control(jnp.asarray(ts, jnp.float32), jnp.asarray(x, jnp.float32))
    nodes, weights = np.polynomial.legendre.leggauss(2)  # exact for cubics; a slope is of degree 2
    for k in range(5):
        half = (ts[:, k + 1] - ts[:, k]) / 2
        at = [jnp.asarray(ts[:, k] + half * (1 + node), jnp.float32)[:, None] for node in nodes]
        risen = half[:, None] * sum(w * slope(path, t) for w, t in zip(weights, at, strict=True))
        np.testing.assert_allclose(risen, x[:, k + 1] - x[:, k], atol=1e-5)


def test_a_channel_that_was_not_seen_is_bridged_held_and_at_first_0():
    ts = jnp.arange(5.0)[None]
    nan = np.nan
    seen = np.array([[[nan, 1.0, nan], [2.0, nan, nan], [nan, 3.0, nan], [nan, nan, nan], [nan, nan, nan]]])
    path = control(ts, jnp.asarray(seen, jnp.float32))
    at = lambda t: np.asarray(slope(path, jnp.full((1, 1), t)))[0]  # noqa: E731
    np.testing.assert_allclose(at(4.0), 0, atol=1e-6)  # held
    np.testing.assert_allclose(
        at(0.5), [2.0, 1.0, 0.0], atol=1e-5
    )  # from 0 to 2, from 1 to 3 in two, never seen
    assert all(np.isfinite(at(t)).all() for t in (0.0, 0.7, 1.0, 4.0))


def test_the_slope_does_not_jump_at_a_time():
    rng = np.random.default_rng(1)
    ts = jnp.asarray(np.arange(6.0)[None], jnp.float32)
    path = control(ts, jnp.asarray(rng.normal(size=(1, 6, 1)), jnp.float32))
    for t in (1.0, 2.0, 3.0, 4.0):
        sides = [float(slope(path, jnp.full((1, 1), t + side))[0, 0]) for side in (-1e-3, 1e-3)]
        assert abs(sides[0] - sides[1]) < 0.03
