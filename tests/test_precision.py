"""Products in bfloat16 are those of operands rounded by hand, summed in float32; the innermost setting decides."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.precision import checked, einsum, held, operands, products

rng = np.random.default_rng(0)
X, W, B = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 40), (40, 7), (7,)))
PARAMS = {"params": {"kernel": W, "bias": B}}
FORMS = {
    "Dense": lambda x, w: nn.Dense(7).apply({"params": {"kernel": w, "bias": B}}, x) - B,
    "DenseGeneral": lambda x, w: nn.DenseGeneral(7, use_bias=False).apply({"params": {"kernel": w}}, x),
    "operands": lambda x, w: jnp.matmul(*operands(x, w)),
    "einsum": lambda x, w: einsum("bi,io->bo", x, w),
}
each_form = pytest.mark.parametrize("product", list(FORMS.values()), ids=list(FORMS))


def rounded(x):
    return np.asarray(x).astype(ml_dtypes.bfloat16).astype(np.float64)


def is_rounded(y):
    """Whether y is the product of X and W rounded by hand, and not the exact one; a float32 sum errs by some 1e-6."""
    by_hand, exact = (float(abs(y - product).max()) for product in (rounded(X) @ rounded(W), X @ W))
    assert min(by_hand, exact) < 1e-5 and max(by_hand, exact) > 1e-3
    return by_hand < exact


@each_form
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_operands_are_rounded_and_sums_are_not(product, compiled):
    product = jax.jit(product) if compiled else product
    assert not is_rounded(product(X, W))
    with products("bfloat16"):
        assert is_rounded(product(X, W)), "also where jax has traced the function before"
    assert not is_rounded(product(X, W))


def test_the_bias_is_added_in_float32():
    layer, big = nn.Dense(7), {"params": {"kernel": W, "bias": np.float32(1.001) + 0 * B}}
    with products("bfloat16"):
        found = layer.apply(big, X) - layer.apply({"params": {"kernel": W, "bias": 0 * B}}, X)
    np.testing.assert_allclose(found, np.full(found.shape, 1.001), atol=2e-6)


@each_form
def test_the_innermost_setting_decides(product):
    with products("bfloat16"):
        with products("float32"):
            assert not is_rounded(product(X, W))
            with products("bfloat16"):
                assert is_rounded(product(X, W))
        assert is_rounded(product(X, W))


def test_a_decorated_function_and_a_held_one_keep_their_setting_wherever_they_are_traced():
    product = FORMS["Dense"]
    with products("bfloat16"):
        kept = held(product)
        assert not is_rounded(products("float32")(product)(X, W))
        assert not is_rounded(jax.jit(products("float32")(product))(X, W))
    assert is_rounded(kept(X, W))
    plain = held(product)
    with products("bfloat16"):
        assert not is_rounded(plain(X, W))


@each_form
def test_gradients_are_float32_and_those_at_the_rounded_operands(product):
    with products("bfloat16"):
        _, pull = jax.vjp(product, jnp.asarray(X), jnp.asarray(W))
        _, tangent = jax.jvp(product, (X, W), (np.ones_like(X), np.zeros_like(W)))
        batched = jax.vmap(product, (0, None))(X[:, None], W)[:, 0]
    bar = rng.normal(size=(5, 7)).astype(np.float32)
    by_x, by_w = pull(bar)
    assert by_x.dtype == by_w.dtype == jnp.float32
    np.testing.assert_allclose(by_x, bar @ rounded(W).T, atol=1e-5)
    np.testing.assert_allclose(by_w, rounded(X).T @ bar, atol=1e-5)
    np.testing.assert_allclose(tangent, np.ones_like(X) @ rounded(W), atol=2e-5)
    assert is_rounded(batched)


def test_a_layer_starts_with_the_same_parameters():
    with products("bfloat16"):
        found = nn.Dense(7).init(jax.random.key(0), X)
    jax.tree.map(np.testing.assert_array_equal, found, nn.Dense(7).init(jax.random.key(0), X))


def test_a_layer_with_a_product_of_its_own_keeps_it():
    layer = nn.Dense(7, dot_general=lambda x, w, *rest, **options: jax.lax.dot_general(x, 2 * w, *rest))
    with products("bfloat16"):
        assert not is_rounded(nn.Dense(7, precision="highest").apply(PARAMS, X) - B)
        np.testing.assert_allclose(layer.apply(PARAMS, X), X @ (2 * W) + B, atol=1e-5)


def test_other_types_than_float32_stay_as_they_are():
    with products("bfloat16"), jax.enable_x64(True):
        for exact in (jnp.full((2, 2), 1.00001), jnp.full((2, 2), 1001)):
            one = jnp.eye(2, dtype=exact.dtype)
            assert jnp.array_equal(operands(exact)[0], exact)
            assert jnp.array_equal(exact @ one, exact)
            assert jnp.array_equal(einsum("ij,jk->ik", exact, one), exact)
        layer = nn.Dense(2, use_bias=False).apply(
            {"params": {"kernel": jnp.eye(2)}}, jnp.full((2, 2), 1.00001)
        )
        assert jnp.array_equal(layer, jnp.full((2, 2), 1.00001))


@each_form
def test_tensorfloat32_is_asked_of_every_product_there_and_back_and_is_exact_on_a_cpu(product):
    with products("tensorfloat32"):
        gradient = jax.jit(jax.value_and_grad(lambda x, w: jnp.sum(product(x, w)), (0, 1)))
        program = gradient.lower(X, W).as_text()
        assert not is_rounded(product(X, W))
    assert program.count("dot_general") == program.count("precision = [HIGH, HIGH]") == 3


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="float32, tensorfloat32, bfloat16; got 'float16'"):
        checked("float16")
    with pytest.raises(ConfigError), products("float16"):
        pass
