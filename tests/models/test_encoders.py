import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.fields.gated import Gated
from odeembed.fields.gru import GRUField
from odeembed.fields.lipschitz import Bounded
from odeembed.models.encoders import GRUJump, JumpFlow
from odeembed.solve.config import SolveConfig

X = jax.random.normal(jax.random.key(0), (2, 5, 3))
TIMES = jnp.broadcast_to(jnp.arange(5.0), (2, 5))
MASK = jnp.arange(5) < jnp.array([[5], [3]])


def test_the_jump_is_the_gru_equation():
    h, x = jax.random.normal(jax.random.key(1), (2, 4)), jax.random.normal(jax.random.key(2), (2, 12))
    params = GRUJump().init(jax.random.key(3), 0.0, h, x)
    u = np.asarray(h @ params["params"]["recurrent"]["kernel"])
    sigmoid = lambda a: 1 / (1 + np.exp(-np.asarray(a)))  # noqa: E731
    r, z = sigmoid(x[:, :4] + u[:, :4]), sigmoid(x[:, 4:8] + u[:, 4:8])
    wanted = (1 - z) * np.tanh(x[:, 8:] + r * u[:, 8:]) + z * h
    np.testing.assert_allclose(GRUJump().apply(params, 0.0, h, x), wanted, rtol=1e-5, atol=1e-6)


def test_without_a_field_it_is_a_gru_run_by_hand_in_both_directions():
    flow = JumpFlow(4, field=None)
    params = flow.init(jax.random.key(1), X, TIMES, MASK, MASK)
    out = flow.apply(params, X, TIMES, MASK, MASK)
    for i, direction in enumerate(flow.directions):
        p = params["params"]
        inputs = X @ p[f"input_{direction}"]["kernel"] + p[f"input_{direction}"]["bias"]
        cell = {"params": p[f"cell_{direction}"]}
        for row, length in ((0, 5), (1, 3)):
            h = p[f"start_{direction}"][None]
            for k in range(length) if direction == "forward" else reversed(range(length)):
                np.testing.assert_allclose(out.before[i][row, k], h[0], rtol=1e-5, atol=1e-6)
                h = GRUJump().apply(cell, 0.0, h, inputs[row : row + 1, k])
                np.testing.assert_allclose(out.after[i][row, k], h[0], rtol=1e-5, atol=1e-6)


def test_unobserved_times_do_not_jump():
    flow = JumpFlow(4)
    observed = MASK & (jnp.arange(5) != 2)
    params = flow.init(jax.random.key(1), X, TIMES, MASK, MASK)
    out = flow.apply(params, X, TIMES, observed, MASK)
    for before, after in zip(out.before, out.after, strict=True):
        np.testing.assert_array_equal(before[:, 2], after[:, 2])
        assert float(jnp.abs(before[:, 1] - after[:, 1]).max()) > 0


def test_only_differences_of_times_matter_to_an_autonomous_field():
    flow = JumpFlow(4)
    params = flow.init(jax.random.key(1), X, TIMES, MASK, MASK)
    here, there = (flow.apply(params, X, TIMES + shift, MASK, MASK).before for shift in (0.0, 8.0))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_adaptive_and_fixed_steps_meet():
    flow = JumpFlow(4)
    params = flow.init(jax.random.key(1), X, TIMES, MASK, MASK)
    fine = flow.clone(config=SolveConfig(solver="rk4", steps=8)).apply(params, X, TIMES, MASK, MASK)
    for control in ("row", "batch"):
        config = SolveConfig(solver="dopri5", steps=None, rtol=1e-5, atol=1e-6, control=control)
        adaptive = flow.clone(config=config).apply(params, X, TIMES, MASK, MASK)
        for a, b in zip(adaptive.before, fine.before, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
        assert not adaptive.failed.any()


@pytest.mark.parametrize("field", [Gated(), Bounded(Gated(GRUField()), constant=0.5)], ids=repr)
def test_a_field_that_holds_a_field_has_weights_of_its_own_in_each_direction(field):
    x = jax.random.normal(jax.random.key(0), (2, 3, 4))
    times, on = jnp.broadcast_to(jnp.arange(3.0), (2, 3)), jnp.ones((2, 3), bool)
    flow = JumpFlow(4, field)
    params = flow.init(jax.random.key(1), x, times, on, on)

    def loss(params):
        return sum(jnp.sum(states**2) for states in flow.apply(params, x, times, on, on).before)

    gradient = jax.grad(loss)(params)["params"]
    for direction in flow.directions:
        assert all(bool(jnp.any(g != 0)) for g in jax.tree.leaves(gradient[f"field_{direction}"]))
