import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.fields.attention import AttentionContext, AttentionField
from odeembed.fields.augmented import Augmented
from odeembed.fields.gated import Gated
from odeembed.fields.gru import GRUField
from odeembed.fields.lipschitz import Bounded, with_scales
from odeembed.fields.mlp import MLPField
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE
from odeembed.solve.solve import solve

Y = jax.random.normal(jax.random.key(0), (3, 4))


def steep(field, factor=5.0):
    return jax.tree.map(lambda x: factor * x, field.init(jax.random.key(1), 0.0, Y))


def test_the_constant_is_held_and_a_field_below_it_is_left_as_it_is():
    inner = GRUField()
    params = steep(inner)
    nested = {"params": {"field": params["params"]}}
    own = float(inner.apply(params, method="lipschitz"))
    for constant in (0.5, own / 2, 2 * own):
        field = Bounded(inner, constant)
        wanted = min(1.0, constant / own) * inner.apply(params, 0.0, Y)
        np.testing.assert_allclose(field.apply(nested, 0.0, Y), wanted, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(field.apply(nested, method="lipschitz"), min(constant, own), rtol=1e-6)


def test_two_paths_of_a_bounded_field_stay_as_far_apart_as_the_constant_says():
    field = Bounded(MLPField(hidden=(16,)), constant=0.7)
    params = steep(field)
    y0 = 1e-2 * jax.random.normal(jax.random.key(2), (64, 4))  # near each other, where the field is steep
    ts = jnp.linspace(0.0, 3.0, 13)
    inner = {"params": params["params"]["field"]}
    for module, variables, held in ((field, params, True), (MLPField(hidden=(16,)), inner, False)):
        ys = solve(module.apply, variables, y0, ts, SolveConfig(solver="rk4", steps=20)).ys
        apart = jnp.linalg.norm(ys[:, None] - ys[None], axis=-1)
        apart = apart[jnp.triu_indices(64, 1)]
        ratio = apart / apart[:, :1]
        # 1e-4: rounding of a difference of two states of size 1.
        bounds = jnp.exp(-0.7 * ts) * (1 - 1e-4), jnp.exp(0.7 * ts) * (1 + 1e-4)
        assert bool(((ratio > bounds[0]) & (ratio < bounds[1])).all()) == held


@pytest.mark.parametrize(
    "field", [Bounded(), Gated(Bounded(constant=0.5)), Augmented(Bounded(Gated(GRUField())))], ids=repr
)
def test_scales_taken_once_change_no_value_and_leave_no_decomposition_to_the_calls(field):
    params = steep(field)
    scaled = with_scales(field, params)
    assert scaled["params"] is params["params"] and set(scaled) == {"params", "scales"}
    np.testing.assert_array_equal(field.apply(scaled, 0.0, Y), field.apply(params, 0.0, Y))
    assert "svd" in str(jax.make_jaxpr(lambda p: field.apply(p, 0.0, Y))(params))
    assert "svd" not in str(jax.make_jaxpr(lambda p: field.apply(p, 0.0, Y))(scaled))
    assert with_scales(MLPField(), params) is params


def test_the_gradient_goes_through_the_scale_though_it_is_taken_outside_the_solve():
    field, config = Bounded(MLPField(hidden=(8,)), 0.5), SolveConfig(solver="rk4", steps=3)
    params, ts = steep(field), jnp.linspace(0.0, 1.0, 3)

    def inside(p):
        return jnp.sum(solve(field.apply, p, Y, ts, config).ys ** 2)

    def outside(p):
        module = NeuralODE(field, config)
        return jnp.sum(module.apply({"params": {"field": p["params"]}}, Y, jnp.tile(ts, (3, 1))).ys ** 2)

    wanted, got = jax.grad(inside)(params), jax.grad(outside)(params)
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    # The scale makes the field blind to the size of its last kernel, which the gradient must know.
    last = wanted["params"]["field"]["Dense_1"]["kernel"], params["params"]["field"]["Dense_1"]["kernel"]
    assert abs(float(jnp.vdot(*last))) < abs(float(jnp.linalg.norm(last[0]) * jnp.linalg.norm(last[1])))


def test_a_field_of_slope_0_is_left_as_it_is_and_its_gradient_is_finite():
    inner = MLPField(hidden=(8,), size_at_start=0.0)
    field = Bounded(inner)
    params = field.init(jax.random.key(1), 0.0, Y)
    value, gradient = jax.value_and_grad(lambda p: jnp.sum((field.apply(p, 0.0, Y) - Y) ** 2))(params)
    alone = jax.grad(lambda p: jnp.sum((inner.apply(p, 0.0, Y) - Y) ** 2))(
        {"params": params["params"]["field"]}
    )
    assert float(value) == float(jnp.sum(Y**2))
    for got, wanted in zip(jax.tree.leaves(gradient), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_a_field_without_a_bound_and_a_constant_that_is_none_are_refused():
    context = AttentionContext(jnp.zeros((3, 1)), jnp.ones((3, 1), bool))
    with pytest.raises(ConfigError, match="AttentionField has none"):
        Bounded(AttentionField(heads=2)).init(jax.random.key(0), 0.0, Y[:, None], context)
    with pytest.raises(ConfigError, match="Gated has none"):
        Bounded(Gated(MLPField(time=True, activation="gelu"))).init(jax.random.key(0), jnp.zeros((3, 1)), Y)
    with pytest.raises(ConfigError, match="above 0; got 0"):
        Bounded(constant=0.0).init(jax.random.key(0), 0.0, Y)
    inner = MLPField(time=True, activation="gelu")
    params = Bounded(inner).init(jax.random.key(0), jnp.zeros((3, 1)), Y)
    assert Bounded(inner).apply(params, method="bound") == math.inf
