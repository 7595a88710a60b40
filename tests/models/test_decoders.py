import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.models.decoders import ReadOut


@pytest.mark.parametrize("normalise", [True, False])
def test_shape_and_scale(normalise):
    states = 50 * jax.random.normal(jax.random.key(0), (3, 2, 7))
    read = ReadOut(5, normalise)
    out = read.apply(read.init(jax.random.key(1), states), states)
    assert out.shape == (3, 2, 5)
    spread = np.asarray(jnp.std(out, axis=-1))
    assert np.allclose(spread, 1, atol=1e-3) == normalise
