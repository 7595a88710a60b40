import math

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.mlp import MLPField


def test_time_matters_only_when_asked_for():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    for time in (False, True):
        field = MLPField(time=time)
        params = field.init(jax.random.key(1), jnp.zeros((3, 1)), y)
        early, late = (field.apply(params, jnp.full((3, 1), t), y) for t in (0.0, 2.0))
        assert bool(jnp.any(early != late)) == time


def test_the_lipschitz_bound_of_a_linear_field_is_its_constant():
    y = jax.random.normal(jax.random.key(0), (3, 4))
    for time in (False, True):
        field = MLPField(hidden=(), time=time)
        params = field.init(jax.random.key(1), jnp.zeros((3, 1)), y)
        matrix = np.asarray(params["params"]["Dense_0"]["kernel"], np.float64)[:4]
        bound = field.apply(params, method="lipschitz")
        np.testing.assert_allclose(bound, np.linalg.svd(matrix)[1].max(), rtol=1e-6)
    # d|W|_2 / dW = u v^T of the largest singular value.
    field = MLPField(hidden=())
    params = {"params": {"Dense_0": {"kernel": jnp.diag(jnp.array([1.0, -3.0])), "bias": jnp.zeros(2)}}}
    gradient = jax.grad(lambda p: field.apply(p, method="lipschitz"))(params)["params"]["Dense_0"]["kernel"]
    np.testing.assert_allclose(gradient, [[0, 0], [0, -1]], atol=1e-6)


def test_where_time_can_carry_the_derivative_anywhere_there_is_no_bound_of_its_size():
    y, t = jnp.ones((1, 4)), jnp.zeros((1, 1))
    for field, known in (
        (MLPField(time=True), True),
        (MLPField(time=True, activation="softplus"), False),
        (MLPField(hidden=(), time=True), False),
    ):
        bound = field.apply(field.init(jax.random.key(0), t, y), method="bound")
        assert isinstance(bound, float) != known and (known or bound == math.inf)


def test_of_size_0_the_field_is_zero_at_first_and_its_last_layer_learns():
    y, t = jax.random.normal(jax.random.key(0), (3, 4)), jnp.zeros((3, 1))
    whole = MLPField().init(jax.random.key(1), t, y)
    half = MLPField(size_at_start=0.5).init(jax.random.key(1), t, y)
    np.testing.assert_allclose(MLPField().apply(half, t, y), 0.5 * MLPField().apply(whole, t, y), rtol=1e-5)
    still = MLPField(size_at_start=0.0)
    params = still.init(jax.random.key(1), t, y)
    assert not still.apply(params, t, y).any()
    gradient = jax.grad(lambda p: jnp.sum((still.apply(p, t, y) - y) ** 2))(params)["params"]
    assert jnp.abs(gradient["Dense_1"]["kernel"]).min() > 0 and not gradient["Dense_0"]["kernel"].any()


def test_the_context_is_appended_where_it_is_asked_for():
    field = MLPField(hidden=(5,), time=True, condition=True)
    y, c, t = (jax.random.normal(jax.random.key(i), (3, n)) for i, n in enumerate((4, 2, 1)))
    params = field.init(jax.random.key(3), t, y, c)
    p = params["params"]
    hidden = np.tanh(np.concatenate([y, c, t], 1) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
    wanted = hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
    np.testing.assert_allclose(field.apply(params, t, y, c), wanted, rtol=1e-5, atol=1e-6)
    slopes = jax.vmap(jax.jacfwd(lambda y, t, c: field.apply(params, t, y, c)))(y, t, c)
    assert np.linalg.norm(slopes, 2, axis=(1, 2)).max() <= field.apply(params, 1.0, method="lipschitz")
    assert (np.abs(field.apply(params, t, y, c)) <= field.apply(params, 1.0, method="bound")).all()
