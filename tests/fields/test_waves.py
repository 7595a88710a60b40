import jax.numpy as jnp
import numpy as np

from odeembed.fields.waves import waves


def test_periods_are_powers_of_two():
    t = jnp.linspace(0.0, 8.0, 17)[:, None]
    found = np.asarray(waves(t, 3))
    assert found.shape == (17, 6)
    for number, period in enumerate((2, 4, 8)):
        np.testing.assert_allclose(found[:, number], np.sin(2 * np.pi * t[:, 0] / period), atol=1e-5)
        np.testing.assert_allclose(found[:, 3 + number], np.cos(2 * np.pi * t[:, 0] / period), atol=1e-5)
