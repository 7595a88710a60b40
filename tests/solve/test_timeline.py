import jax.numpy as jnp
import numpy as np

from odeembed.solve.timeline import timeline, wait_where_masked

TS = jnp.array([[[0.0, 1.0, 1.0, 2.0], [0.0, 3.0, 3.0, 3.0]]])


def test_every_time_is_a_stop_where_there_are_jumps():
    """Equal times share a stop unless a jump stands between them, which the second of them is read after."""
    at = jnp.array([[[True, True, False, True], [False, False, False, True]]])
    line = timeline(TS, at)
    assert line.last.tolist() == [[3, 1]]
    assert line.arrivals.tolist() == [[[0, 1, 2, 3], [0, 1, 1, 1]]]
    assert line.stops[0, 0].tolist() == [1.0, 1.0, 2.0] and float(line.stops[0, 1, 0]) == 3.0
    assert line.jumps[0, 0].tolist() == [True, True, False] and not line.jumps[0, 1, 0]
    assert line.events[0, 0].tolist() == [0, 1, 2]


def test_without_jumps_only_the_end_is_a_stop():
    line = timeline(TS, None)
    assert line.arrivals is None and line.stops[..., 0].tolist() == [[2.0, 3.0]]
    assert line.last.tolist() == [[1, 1]] and line.sound.all()


def test_a_path_that_never_moves_has_no_stop():
    assert timeline(jnp.ones((1, 1, 3)), None).last.tolist() == [[0]]
    assert timeline(jnp.ones((1, 1, 2)), None).last.tolist() == [[0]]


def test_times_that_turn_back_are_unsound_between_stops_only():
    back = jnp.array([[[0.0, 1.0, 0.5], [0.0, 1.0, 0.0], [0.0, -1.0, -2.0]]])
    assert timeline(back, None).sound.tolist() == [[False, False, True]]
    assert timeline(back, jnp.zeros(back.shape, bool)).sound.all()


def test_a_masked_time_is_the_last_real_one():
    ts = jnp.array([[9.0, 0.0, 9.0, 1.0, 9.0]])
    mask = jnp.array([[False, True, False, True, False]])
    np.testing.assert_array_equal(wait_where_masked(ts, mask), [[0.0, 0.0, 0.0, 1.0, 1.0]])
