"""A problem that asks for short steps now and then, shared by the tests of the gradient methods."""

import types

import jax
import jax.numpy as jnp
import pytest

from odeembed.solve.solve import Jumps, solve


@pytest.fixture
def wide():
    """float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def rejecting():
    """field, jump, problem(n) and gradients(config, n, jumping, timed) of a problem with rejected steps."""
    return types.SimpleNamespace(field=field, jump=jump, problem=problem, gradients=gradients)


def field(params, t, y, context):
    """A field that asks for short steps now and then, so that some are rejected."""
    return (
        jnp.tanh(y @ params["w"] + params["b"] * jnp.sin(t))
        * context
        * (1 + 8 * jnp.exp(-200 * (t - 0.7) ** 2))
    )


def jump(params, t, y, x):
    return jnp.tanh(y @ params["w"]) + x * jnp.cos(t)


def problem(n):
    keys = jax.random.split(jax.random.key(0), 5)
    params = {"w": jax.random.normal(keys[0], (3, 3)), "b": jnp.ones(3)}
    y0 = jax.random.normal(keys[1], (4, 3))
    context = jnp.array([[1.0], [2.0], [5.0], [0.5]])
    ts = jnp.sort(2 * jax.random.uniform(keys[2], (4, n)), axis=1)
    ts = ts.at[1].set(-ts[1])
    inputs = jax.random.normal(keys[3], (4, n, 3))
    return (params, y0, context, ts, inputs), jax.random.bernoulli(keys[4], 0.6, (4, n))


def gradients(config, n, jumping, timed=True):
    args, at = problem(n)

    def loss(params, y0, context, ts, inputs):
        jumps = Jumps(jump, inputs, at) if jumping else None
        out = solve(field, params, y0, ts, config, context, jumps=jumps)
        return jnp.sum(jnp.sin(out.ys) * jnp.arange(1, n + 1)[None, :, None]), out

    by = (0, 1, 2, 3, 4) if timed else (0, 1, 2, 4)
    (_, out), found = jax.jit(jax.value_and_grad(loss, by, has_aux=True))(*args)
    return found, out
