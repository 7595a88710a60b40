"""The trace is that of each row's Jacobian, and what noise estimates of it is right on average."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.fields.divergence import with_divergence


def field_and_state(*shape):
    """A function with steep and unsymmetric Jacobians, another one for each row, and a state."""
    rng = np.random.default_rng(0)
    y, inner, outer = (
        3 * rng.normal(size=size) / size[-1] for size in (shape, (shape[-1], 8), (8, shape[-1]))
    )
    t = np.linspace(0.0, 1.0, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
    return (lambda y: jnp.tanh(y @ inner + t) @ outer), jnp.asarray(y, jnp.float32)


@pytest.mark.parametrize("shape", [(3, 4), (3, 7), (3, 2, 4), (3, 2, 7)], ids=str)
def test_the_exact_trace_is_that_of_the_jacobian(shape):
    f, y = field_and_state(*shape)
    (dy, divergence), value, jacobian = jax.jit(lambda y: (with_divergence(f, y), f(y), jax.jacfwd(f)(y)))(y)
    np.testing.assert_allclose(dy, value, rtol=1e-6, atol=1e-6)
    rows = np.asarray(jacobian).reshape(y.size // shape[-1], shape[-1], -1, shape[-1])
    wanted = np.einsum("riri->r", rows)
    np.testing.assert_allclose(np.ravel(divergence), wanted, rtol=1e-5, atol=1e-5)
    assert divergence.shape == (*shape[:-1], 1) and divergence.dtype == y.dtype


def test_over_all_signs_the_estimate_is_the_trace():
    f, y = field_and_state(2, 3)
    signs = jnp.array(list(itertools.product([1, -1], repeat=3)), jnp.int8)
    exact = jax.jit(lambda y: with_divergence(f, y))(y)
    estimate = jax.jit(jax.vmap(lambda e: with_divergence(f, y, jnp.broadcast_to(e, y.shape))))(signs)
    np.testing.assert_allclose(estimate[0], np.broadcast_to(exact[0], (8, 2, 3)), rtol=1e-5, atol=1e-6)
    found = np.asarray(estimate[1])
    assert np.ptp(found, axis=0).min() > 0.1
    np.testing.assert_allclose(found.mean(axis=0), exact[1], rtol=1e-5, atol=1e-5)
