"""The loss against closed forms; a field fitted by it carries noise to data, in the right shares."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.special

from odeembed.fields.mlp import MLPField
from odeembed.models.flow import ContinuousFlow
from odeembed.objectives.flow_matching import flow_matching_loss
from odeembed.solve.config import SolveConfig

SIGMA = 0.1


class ToPoint(nn.Module):
    """The field of one data point, its time in units of `length`: Lipman et al. 2023, eq. (21)."""

    point: tuple[float, ...] = (2.0, -1.0)
    length: float = 1.0

    def __call__(self, t, y, context=None):
        s = t / self.length
        rest = 1 - SIGMA
        return (jnp.array(self.point) - rest * y) / (1 - rest * s) / self.length


class Clock(nn.Module):
    """dy/dt = speed * t, in every coordinate."""

    speed: float = 1.0

    def __call__(self, t, y, context=None):
        return self.speed * jnp.broadcast_to(t, y.shape)


def losses(flow, params, x, sigma_min, seed=0):
    """Of as many rows of noise as x has."""
    run = jax.jit(
        lambda params, key: flow_matching_loss(
            flow, params, jnp.asarray(x), jax.random.split(key, len(x)), sigma_min=sigma_min
        )
    )
    return np.asarray(run(params, jax.random.key(seed)))


def test_of_one_data_point_the_field_is_known():
    """With its field the loss is 0, and the flow ends at N(point, sigma^2 I)."""
    flow = ContinuousFlow(ToPoint(length=2.5), SolveConfig(solver="rk4", steps=64), length=2.5)
    x = np.broadcast_to(np.float32([2.0, -1.0]), (64, 2))
    np.testing.assert_allclose(losses(flow, {}, x, SIGMA), 0.0, atol=1e-9)
    keys = jax.random.split(jax.random.key(0), 64)
    drawn = jax.jit(lambda keys: flow.apply({}, keys, 2, method="sample"))(keys)
    np.testing.assert_allclose(drawn.x, x + SIGMA * np.asarray(drawn.base), atol=1e-4)
    np.testing.assert_allclose(drawn.log_det, np.full(64, 2 * np.log(SIGMA)), atol=1e-4)


def test_of_a_field_at_rest_it_is_the_way_squared():
    """E |x - (1 - sigma) x0|^2 = |x|^2 + (1 - sigma)^2 d, whatever the time."""
    flow = ContinuousFlow(Clock(speed=0.0))
    x = np.broadcast_to(np.float32([2.0, -1.0, 0.5]), (4000, 3))
    found = losses(flow, {}, x, SIGMA)
    wanted = 5.25 + 3 * (1 - SIGMA) ** 2
    np.testing.assert_allclose(found.mean(), wanted, atol=5 * found.std() / np.sqrt(4000))


def test_time_is_uniform_and_a_row_is_its_keys_alone():
    """Of data at 0 with sigma_min = 1 the way has no speed, and the field that is the time shows the time."""
    flow, x = ContinuousFlow(Clock()), jnp.zeros((4000, 1))
    t = np.sqrt(losses(flow, {}, x, 1.0))
    share, _ = np.histogram(t, 10, (0.0, 1.0))
    np.testing.assert_allclose(share / 4000, 0.1, atol=5 * np.sqrt(0.09 / 4000))
    run = jax.jit(lambda keys: flow_matching_loss(flow, {}, x + 1, keys))
    keys = jax.random.split(jax.random.key(1), 4000)
    np.testing.assert_array_equal(run(keys[::-1]), run(keys)[::-1])


def test_a_field_fitted_to_two_clusters_carries_noise_to_both_in_their_shares():
    """Clusters N((-2, 0), s^2 I) and N((2, 1), s^2 I) in shares of 1 and 2."""
    centres, share, s, count = np.array([[-2.0, 0.0], [2.0, 1.0]]), np.array([1 / 3, 2 / 3]), 0.4, 2048
    rng = np.random.default_rng(0)
    x = centres[rng.choice(2, 2 * count, p=share)] + s * rng.normal(size=(2 * count, 2))
    train, held_out = np.split(x.astype(np.float32), 2)
    flow, steps, b = (
        ContinuousFlow(MLPField((32, 32), time=True), SolveConfig(solver="midpoint", steps=12)),
        400,
        128,
    )
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-2, steps))

    @jax.jit
    def init():
        return flow.init(jax.random.key(0), jnp.zeros((1, 1)), jnp.zeros((1, 2)), method="velocity")["params"]

    @jax.jit
    def fit(params, train):
        def step(carry, key):
            params, state = carry
            batch = train[jax.random.randint(key, (b,), 0, count)]
            keys = jax.random.split(key, b)
            loss = lambda p: jnp.mean(flow_matching_loss(flow, p, batch, keys))  # noqa: E731
            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(jax.random.key(1), steps)
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]

    @jax.jit
    def look(params, held_out):
        drawn = flow.apply({"params": params}, jax.random.split(jax.random.key(2), count), 2, method="sample")
        return drawn.x, jnp.mean(flow.apply({"params": params}, held_out).log_prob)

    def nll(x):
        squares = np.sum((x[:, None] - centres) ** 2, axis=-1) / s**2
        return np.mean(np.log(2 * np.pi * s**2) - scipy.special.logsumexp(-squares / 2, axis=1, b=share))

    params = init()
    first, (drawn, log_prob) = look(params, held_out), look(fit(params, train), held_out)
    entropy = nll(held_out)
    assert nll(np.asarray(first[0])) > entropy + 5 and nll(np.asarray(drawn)) < entropy + 0.2
    assert -first[1] > entropy + 5 and abs(-log_prob - entropy) < 0.2
    assert abs(np.mean(drawn[:, 0] > 0) - share[1]) < 5 * np.sqrt(share[0] * share[1] / count)
