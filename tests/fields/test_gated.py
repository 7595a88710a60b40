import math

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.gated import Gated
from odeembed.fields.mlp import MLPField


def test_an_open_gate_is_the_field_itself_and_a_closed_one_rests():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    inner = MLPField()
    params = Gated(inner).init(jax.random.key(1), 0.0, y)
    alone = inner.apply({"params": params["params"]["field"]}, 0.0, y)
    for bias, wanted in ((100.0, alone), (-100.0, jnp.zeros_like(y))):
        params["params"]["gate"]["bias"] = jnp.full(4, bias)
        np.testing.assert_allclose(Gated(inner).apply(params, 0.0, y), wanted, rtol=1e-6, atol=1e-6)


def test_no_lipschitz_bound_where_the_inner_field_has_no_largest_value():
    y, t = jax.random.normal(jax.random.key(0), (3, 4)), jnp.zeros((3, 1))
    for inner, known in ((MLPField(time=True), True), (MLPField(time=True, activation="softplus"), False)):
        params = Gated(inner).init(jax.random.key(1), t, y)
        assert math.isfinite(float(Gated(inner).apply(params, method="lipschitz"))) == known
