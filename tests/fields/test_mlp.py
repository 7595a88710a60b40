import jax
import jax.numpy as jnp

from odeembed.fields.mlp import MLPField


def test_time_matters_only_when_asked_for():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    for time in (False, True):
        field = MLPField(time=time)
        params = field.init(jax.random.key(1), jnp.zeros((3, 1)), y)
        early, late = (field.apply(params, jnp.full((3, 1), t), y) for t in (0.0, 2.0))
        assert bool(jnp.any(early != late)) == time
