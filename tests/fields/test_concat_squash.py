"""The layer by hand, and that time moves what it should."""

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.concat_squash import ConcatSquashField


def test_a_layer_by_hand():
    field = ConcatSquashField(hidden=(3,))
    rng, y = np.random.default_rng(0), jnp.asarray(np.random.default_rng(1).normal(size=(4, 2)), jnp.float32)
    shapes = jax.eval_shape(lambda: field.init(jax.random.key(0), 0.0, y))
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), shapes)
    p, t, x = params["params"], 0.7, np.asarray(y)
    for i in range(2):
        layer, gate, shift = (p[f"{name}_{i}"] for name in ("layer", "gate", "shift"))
        gated = 1 / (1 + np.exp(-(t * gate["kernel"][0] + gate["bias"])))
        x = (x @ layer["kernel"] + layer["bias"]) * gated + t * shift["kernel"][0]
        x = x if i == 1 else np.tanh(x)
    np.testing.assert_allclose(field.apply(params, t, y), x, rtol=2e-5, atol=1e-6)


def test_with_size_0_nothing_moves_before_the_first_update_and_all_layers_can_learn_after_it():
    field, y = ConcatSquashField(hidden=(4,), size_at_start=0.0), jnp.ones((2, 3))
    params = field.init(jax.random.key(0), 0.5, y)
    assert not np.any(field.apply(params, 0.5, y))
    gradient = jax.grad(lambda p: jnp.sum(field.apply(p, 0.5, y)))(params)["params"]
    assert np.any(gradient["layer_1"]["kernel"]) and np.any(gradient["shift_1"]["kernel"])
