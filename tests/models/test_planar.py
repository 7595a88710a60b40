"""A planar flow's determinant against that of its Jacobian, and its mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.models.planar import PlanarFlow


def test_the_determinant_of_a_planar_flow_is_that_of_its_jacobian():
    with jax.enable_x64(True):
        flow, x = PlanarFlow(layers=5), jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)))
        shapes = jax.eval_shape(lambda: flow.init(jax.random.key(0), x, method="log_prob"))
        rng = np.random.default_rng(1)
        params = jax.tree.map(
            lambda p: jnp.asarray(rng.normal(size=p.shape)), shapes
        )  # u bent, or not invertible
        found = flow.apply(params, x, method="log_prob")
        one = lambda x: flow.apply(params, x[None], method="log_prob").base[0]  # noqa: E731
        sign, log_det = np.linalg.slogdet(np.asarray(jax.vmap(jax.jacobian(one))(x)))
        assert (sign > 0).all()
        np.testing.assert_allclose(found.log_det, -log_det, rtol=1e-9)
        normal = -0.5 * np.sum(np.square(found.base), axis=1) - 1.5 * np.log(2 * np.pi)
        np.testing.assert_allclose(found.log_prob, normal + log_det, rtol=1e-9)


def test_its_mass_is_1_however_its_layers_fold():
    flow, axis = PlanarFlow(layers=3), np.linspace(-12, 12, 241)
    square = jnp.asarray(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2), jnp.float32)
    params = flow.init(jax.random.key(0), square[:1], method="log_prob")
    params = jax.tree.map(lambda p: 2 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    density = np.exp(flow.apply(params, square, method="log_prob").log_prob.astype(np.float64))
    assert density.sum() * 0.1**2 == pytest.approx(1.0, abs=0.01)
