"""The convolution beside lax.conv with derivatives in every mode; the fields beside their layers written out."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.fields.augmented import Augmented
from odeembed.fields.convolution import ConvField, GroupNorm, PixelField, TimeConv, convolve
from odeembed.precision import products


def plain(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


X, KERNEL, DX, DKERNEL, BAR = arrays((2, 5, 4, 3), (3, 3, 3, 6), (2, 5, 4, 3), (3, 3, 3, 6), (2, 5, 4, 6))


def near(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(jnp.abs(b).max()))


def test_value_and_derivatives_are_those_of_lax():
    def gradients(conv):
        return jax.grad(lambda x, kernel: jnp.sum(BAR * jnp.sin(conv(x, kernel))), (0, 1))

    near(convolve(X, KERNEL), plain(X, KERNEL))
    near(*(jax.jvp(conv, (X, KERNEL), (DX, DKERNEL)) for conv in (convolve, plain)))
    near(*(gradients(conv)(X, KERNEL) for conv in (convolve, plain)))
    # Forward over reverse, and rows under a vmap.
    near(*(jax.jvp(gradients(conv), (X, KERNEL), (DX, DKERNEL))[1] for conv in (convolve, plain)))
    near(jax.vmap(convolve, (0, None))(X, KERNEL), plain(X, KERNEL))
    near(convolve(X[0], KERNEL), plain(X, KERNEL)[0])

    def twice(conv):
        return jax.grad(lambda *args: sum(jnp.sum(jnp.square(g)) for g in gradients(conv)(*args)), (0, 1))(
            X, KERNEL
        )

    near(twice(convolve), twice(plain))


def test_reverse_mode_has_no_convolution_but_in_the_usual_order():
    """What is slow on a CPU: kernels whose axes are swapped, and images as kernels."""

    def loss(x, kernel):
        return jnp.sum(jax.lax.scan(lambda y, _: (convolve(y, kernel), None), x, None, length=2)[0])

    x, kernel = arrays((2, 5, 5, 4), (3, 3, 4, 4))
    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).as_text()
    found = [line.partition("dim_numbers = ")[2].partition(", window")[0] for line in text.split("\n")]
    assert {each for each in found if each} == {"[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]"}


def test_time_is_a_channel_of_the_convolution():
    for size, t in itertools.product((1, 3), (0.7, jnp.array([0.2, -1.5]).reshape(2, 1, 1, 1))):
        layer = TimeConv(6, size)
        params = layer.init(jax.random.key(0), t, X)
        kernel = params["params"]["kernel"]
        assert kernel.shape == (size, size, 4, 6)
        x = jnp.concatenate([jnp.broadcast_to(t, (*X.shape[:-1], 1)), X], axis=-1)
        near(layer.apply(params, t, X), plain(x, kernel) + params["params"]["bias"])


def test_group_norm_makes_groups_alike():
    x = 3 * X[..., :2].repeat(4, -1) + jnp.arange(8.0)
    norm = GroupNorm(groups=4)
    params = norm.init(jax.random.key(0), x)
    y = np.asarray(norm.apply(params, x), np.float64).reshape(2, -1, 4, 2)
    np.testing.assert_allclose(y.mean((1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 3)), 1, atol=1e-4)
    with pytest.raises(ConfigError, match="4 groups do not divide 6 channels"):
        norm.init(jax.random.key(0), x[..., :6])


def test_the_time_is_a_number_or_one_a_row():
    y, t = arrays((3, 4, 4, 4))[0], jnp.array([0.1, 0.5, 2.0]).reshape(3, 1, 1, 1)
    for field in (ConvField(), PixelField(8), Augmented(ConvField(), extra=2)):
        params = field.init(jax.random.key(0), t, y)
        near(field.apply(params, 0.5, y[1]), field.apply(params, t, y)[1])


def test_what_is_rounded_are_the_operands():
    field, y = ConvField(), arrays((2, 4, 4, 4))[0]
    params = field.init(jax.random.key(0), 0.5, y)
    exact, rounded = field.apply(params, 0.5, y), products("bfloat16")(field.apply)(params, 0.5, y)
    error = float(jnp.abs(exact - rounded).max() / jnp.abs(exact).max())
    assert 1e-4 < error < 3e-2
