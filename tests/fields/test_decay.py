"""Exponential decay: its solution in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.fields.decay import DecayField
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE


def test_states_fall_at_their_own_rates():
    model = NeuralODE(DecayField(), SolveConfig(solver="rk4", steps=32))
    y0, ts = jnp.array([[1.0, -2.0]]), jnp.array([[0.0, 0.5, 3.0]])
    raw = jnp.array([-1.0, 1.0])
    params = model.init(jax.random.key(0), y0, ts)
    assert jax.tree.leaves(params)[0].tolist() == [-2.0, -2.0]
    found = model.apply({"params": {"field": {"rate": raw}}}, y0, ts).ys
    wanted = y0[:, None] * jnp.exp(-jax.nn.softplus(raw) * ts[..., None])
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
