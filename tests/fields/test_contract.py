"""What every vector field keeps: shape, dtype, finite gradients, independence of rows, agreement of the gradients."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.fields.attention import AttentionContext, AttentionField
from odeembed.fields.augmented import Augmented
from odeembed.fields.concat_squash import ConcatSquashField
from odeembed.fields.convolution import ConvField, PixelField
from odeembed.fields.decay import DecayField
from odeembed.fields.gated import Gated
from odeembed.fields.gru import GRUField
from odeembed.fields.lipschitz import Bounded
from odeembed.fields.mlp import MLPField
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE

FIELDS = [
    MLPField(),
    MLPField(hidden=(8, 8), time=True, activation="softplus"),
    MLPField(activation="gelu"),
    GRUField(),
    ConcatSquashField(hidden=(8,)),
    Gated(),
    DecayField(),
    Augmented(extra=3),
    Bounded(GRUField(), constant=0.5),
    ConvField(),
    Augmented(PixelField(8)),
    Augmented(Bounded(Gated(), constant=2.0)),
    AttentionField(heads=2),
]
D = 6


def state_and_context(field, rows=5):
    key = jax.random.key(3)
    if field.event_ndim == 1:
        return jax.random.normal(key, (rows, D)), None
    if field.event_ndim == 3:
        return jax.random.normal(key, (rows, 3, 4, D)), None
    times = jnp.broadcast_to(jnp.arange(4.0), (rows, 4))
    keys = jnp.arange(4) < jnp.arange(1, rows + 1)[:, None]
    return jax.random.normal(key, (rows, 4, D)), AttentionContext(times, keys)


def column(field, value, rows=5):
    return jnp.full((rows, *(1,) * field.event_ndim), value)


@pytest.mark.parametrize("field", FIELDS, ids=repr)
def test_shape_dtype_and_gradient(field):
    y, context = state_and_context(field)
    params = field.init(jax.random.key(0), column(field, 0.5), y, context)
    value, gradient = jax.value_and_grad(
        lambda p: jnp.sum(field.apply(p, column(field, 0.5), y, context) ** 2)
    )(params)
    dy = field.apply(params, column(field, 0.5), y, context)
    assert dy.shape == y.shape and dy.dtype == y.dtype
    assert value > 0
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
    assert any(bool(jnp.any(g != 0)) for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize("field", FIELDS, ids=repr)
def test_a_row_alone_is_the_row_in_its_batch(field):
    y, context = state_and_context(field)
    params = field.init(jax.random.key(0), column(field, 0.5), y, context)
    together = field.apply(params, column(field, 0.5), y, context)
    for i in range(y.shape[0]):
        alone = jax.tree.map(lambda x, i=i: x[i : i + 1], context)
        np.testing.assert_allclose(
            field.apply(params, column(field, 0.5, 1), y[i : i + 1], alone)[0],
            together[i],
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("radius", [1.0, 2.5])
@pytest.mark.parametrize("field", FIELDS, ids=repr)
def test_no_jacobian_and_no_derivative_is_above_its_bound(field, radius):
    y, context = state_and_context(field)
    params = field.init(jax.random.key(0), column(field, 0.5), y, context)
    bound = field.apply(params, radius, method="lipschitz")
    if field.event_ndim > 1:
        assert bound == math.inf  # a name for "none is known", and no number
        return
    noise = jax.random.normal(jax.random.key(1), (400, D))
    points = radius * jnp.concatenate([jnp.tanh(noise), jnp.sign(noise[:200])])
    for steepness in (0.3, 1.0, 4.0):  # gates half open, as initialised, and closed or open
        steep = jax.tree.map(lambda x, s=steepness: s * x, params)
        jacobian = jax.vmap(jax.jacfwd(lambda y, p=steep: field.apply(p, jnp.array([0.5]), y)))(points)
        largest = np.linalg.norm(np.asarray(jacobian, np.float64), 2, axis=(1, 2)).max()
        assert 0 < largest <= float(field.apply(steep, radius, method="lipschitz")) * (1 + 1e-5)  # rounding
        size = jnp.abs(field.apply(steep, jnp.full((600, 1), 0.5), points)).max(axis=0)
        assert bool((size <= field.apply(steep, radius, method="bound") * (1 + 1e-5)).all())
    if isinstance(field, MLPField):
        gradient = jax.grad(lambda p: field.apply(p, radius, method="lipschitz"))(params)
        assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))


OURS, THEIRS = ("replay", "reversible", "backsolve"), ("recursive", "direct")


# diffrax's gradient and jax's own ask nothing of a field that ours do not: two fields are enough for them. The last but
# one is what three others are by themselves.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "adjoint"),
    [
        *itertools.product([*FIELDS[:2], GRUField(), *FIELDS[-2:]], OURS),
        *itertools.product(FIELDS[:2], THEIRS),
    ],
    ids=repr,
)
def test_every_gradient_agrees_with_the_fixed_grid(field, adjoint):
    y, context = state_and_context(field)
    ts = jnp.broadcast_to(jnp.array([0.0, 0.7, 1.0]), (y.shape[0], 3))

    def loss(config):
        module = NeuralODE(field, config)
        params = NeuralODE(field, SolveConfig()).init(jax.random.key(0), y, ts, context)
        return lambda p: jnp.sum(module.apply(p, y, ts, context).ys ** 2), params

    exact, params = loss(SolveConfig(solver="rk4", steps=16))
    adaptive, _ = loss(SolveConfig(solver="dopri5", steps=None, rtol=1e-5, atol=1e-6, adjoint=adjoint))
    wanted, got = jax.jit(jax.grad(exact))(params), jax.jit(jax.grad(adaptive))(params)
    scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(wanted))
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(got), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4 * scale)  # the tolerance 1e-5 times the length of the sums
