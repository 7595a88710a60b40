"""A flow's density against closed forms, its two directions against each other, its gradient against differences."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
import scipy.stats

from odeembed.errors import ConfigError
from odeembed.fields.mlp import MLPField
from odeembed.models.flow import ContinuousFlow
from odeembed.solve.config import Penalty, SolveConfig
from odeembed.solve.penalty import signs
from odeembed.solve.solve import solve

GRID = SolveConfig(solver="midpoint", steps=8)
FINE = SolveConfig(solver="rk4", steps=16)
ROW = SolveConfig(solver="bosh3", steps=None, rtol=1e-8, atol=1e-8, max_steps=1000)
A = np.array([[-0.3, 1.0, 0.5], [-1.0, 0.4, 0.1], [0.0, 2.0, 0.6]])


class Linear(nn.Module):
    """dy/dt = A y + context."""

    @nn.compact
    def __call__(self, t, y, context=None):
        matrix = self.param("A", lambda _: jnp.asarray(A, jnp.result_type(float)))
        return y @ matrix.T + (0.0 if context is None else context)


def bent(**settings):
    """A flow in the plane that is far from linear, and its variables, in the float type of the moment."""
    flow, rng = ContinuousFlow(MLPField(hidden=(8,), time=True), **settings), np.random.default_rng(4)
    shapes = jax.eval_shape(lambda: initialised(flow, 2))
    draw = lambda p: jnp.asarray(rng.normal(size=p.shape) / np.sqrt(p.shape[0]), jnp.result_type(float))  # noqa: E731
    return flow, jax.tree.map(draw, shapes)


def initialised(flow, d):
    return flow.init(jax.random.key(0), jnp.zeros((1, 1)), jnp.zeros((1, d)), method="velocity")


def normal_log_prob(x):
    return -0.5 * np.sum(np.square(x), axis=-1) - 0.5 * np.shape(x)[-1] * np.log(2 * np.pi)


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_a_linear_field_by_the_matrix_exponential(trace):
    """x = exp(A T) base + A^-1 (exp(A T) - I) c, log |det| = T tr A; Hutchinson's estimate of it is T e^T A e."""
    length, times = 1.5, np.array([0.0, 0.4, 1.5])
    with jax.enable_x64(True):
        flow = ContinuousFlow(Linear(), SolveConfig(solver="rk4", steps=64), trace, length)
        base, c = np.random.default_rng(0).normal(size=(2, 4, 3))

        @jax.jit
        def run(variables, base, c):
            keys = jax.random.split(jax.random.key(3), 4)
            ahead = flow.apply(variables, base, c, keys, method="forward")
            back = flow.apply(variables, ahead.x, c, keys, method="log_prob")
            path = flow.apply(variables, base, jnp.array(times), c, method="transport")
            return ahead, back, path, signs(keys, base).astype(float)

        ahead, back, path, e = run(initialised(flow, 3), base, c)

    def mean_and_root(t):
        grown = scipy.linalg.expm(A * t)
        return c @ np.linalg.solve(A, grown - np.eye(3)).T, grown

    states = np.stack([mean + base @ root.T for mean, root in map(mean_and_root, times)], axis=1)
    np.testing.assert_allclose(path.ys, states, atol=1e-7)  # 64 steps of (1.5 |A| / 64)^5 / 120 each
    det = length * (np.trace(A) if trace == "exact" else np.einsum("bi,ij,bj->b", e, A, e))
    for found in (ahead, back):
        assert not found.failed.any() and found.penalty is None and found.log_prob.dtype == np.float64
        np.testing.assert_allclose(found.x, states[:, -1], atol=1e-7)
        np.testing.assert_allclose(found.base, base, atol=1e-7)
        np.testing.assert_allclose(found.log_det, np.broadcast_to(det, 4), rtol=1e-12)
        np.testing.assert_allclose(found.log_prob, normal_log_prob(base) - det, atol=1e-6)
    if trace == "exact":
        means, root = mean_and_root(length)
        truth = [
            scipy.stats.multivariate_normal(mean, root @ root.T).logpdf(x)
            for mean, x in zip(means, states[:, -1], strict=True)
        ]
        np.testing.assert_allclose(back.log_prob, truth, atol=1e-6)


def test_the_density_integrates_to_one_and_both_directions_have_it():
    """The trapezoidal rule is exact here to rounding; what is left, 1e-7, is the error of the solve."""
    with jax.enable_x64(True):
        flow, variables = bent(config=FINE)
        line = np.linspace(-9.0, 9.0, 91)
        points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        found = jax.jit(flow.apply)(variables, points)
        ahead = jax.jit(functools.partial(flow.apply, method="forward"))(variables, found.base)
    found, ahead = jax.tree.map(np.asarray, (found, ahead))
    assert not found.failed.any() and not ahead.failed.any()
    assert np.abs(found.base - points).max() > 1 and np.ptp(found.log_det) > 1
    assert abs(np.exp(found.log_prob).sum() * (line[1] - line[0]) ** 2 - 1) < 2e-7
    np.testing.assert_allclose(ahead.x, points, atol=3e-6)
    np.testing.assert_allclose(ahead.log_prob, found.log_prob, atol=3e-6)


def test_hutchinsons_estimate_is_the_exact_density_on_average():
    flow, variables = bent(config=GRID)
    estimating = ContinuousFlow(flow.field, GRID, "hutchinson")

    @jax.jit
    def run(variables):
        x = jnp.broadcast_to(jnp.array([0.7, -0.4]), (4000, 2))
        keys = jax.random.split(jax.random.key(1), 4000)
        return estimating.apply(variables, x, None, keys), flow.apply(variables, x[:1])

    estimate, exact = run(variables)
    estimate, exact = jax.tree.map(np.asarray, (estimate, exact))
    error = estimate.log_prob.std() / np.sqrt(4000)
    assert error > 1e-4
    np.testing.assert_allclose(estimate.log_prob.mean(), exact.log_prob[0], atol=5 * error)
    np.testing.assert_allclose(estimate.base[0], exact.base[0], rtol=1e-5)


@functools.cache
def differentiated(config, trace):
    """Variables in float64, and a function of them, points [4, 2] and keys [4]: (sum, rows' densities), gradient."""
    flow, variables = bent(config=config, trace=trace)

    def total(variables, x, keys):
        found = flow.apply(variables, x, None, keys)
        return jnp.sum(found.log_prob), found

    return variables, jax.jit(jax.value_and_grad(total, has_aux=True))


BOTH = pytest.mark.parametrize(
    ("config", "trace"), [(GRID, "exact"), (ROW, "hutchinson")], ids=["grid", "row"]
)


@BOTH
def test_the_gradient_is_that_of_differences(config, trace):
    with jax.enable_x64(True):
        variables, run = differentiated(config, trace)
        variables, keys = jax.tree.map(np.asarray, variables), jax.random.split(jax.random.key(2), 4)
        rng = np.random.default_rng(0)
        x, along = rng.normal(size=(4, 2)), jax.tree.map(lambda p: rng.normal(size=p.shape), variables)
        up, down = (
            float(run(jax.tree.map(lambda p, e, h=h: p + h * e, variables, along), x, keys)[0][0])
            for h in (1e-4, -1e-4)
        )
        gradient = jax.tree.map(np.asarray, run(variables, x, keys)[1])
    slope = sum(map(np.vdot, jax.tree.leaves(gradient), jax.tree.leaves(along)))
    np.testing.assert_allclose(slope, (up - down) / 2e-4, rtol=1e-5)  # h^2, and the solve's tolerance by h


@BOTH
def test_a_row_knows_nothing_of_its_batch_and_only_failed_rows_fail(config, trace):
    with jax.enable_x64(True):
        variables, run = differentiated(config, trace)
        x, keys = np.random.default_rng(0).normal(size=(4, 2)), jax.random.split(jax.random.key(2), 4)
        whole = run(variables, x, keys)[0][1]
        again = run(variables, x, keys[::-1])[0][1]
        others = x.copy()  # the arrays handed over are read while the result is still on its way
        others[1], others[2] = np.nan, 30.0
        among = run(variables, others[::-1], keys[::-1])[0][1]
    whole, again, among = jax.tree.map(np.asarray, (whole, again, among))
    assert among.failed.tolist() == [False, False, True, False] and not whole.failed.any()
    assert np.isnan(among.log_prob).tolist() == among.failed.tolist()
    for there, here in zip(jax.tree.leaves(among), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(there[::-1][[0, 3]], here[[0, 3]], rtol=1e-9)
    assert bool((np.abs(again.log_prob - whole.log_prob) > 1e-4).any()) == (trace == "hutchinson")


def test_at_the_start_the_flow_is_the_identity_and_samples_are_the_keys():
    flow = ContinuousFlow(config=SolveConfig(solver="euler"))
    variables, keys = jax.jit(lambda: initialised(flow, 2))(), jax.random.split(jax.random.key(1), 4000)
    sample = jax.jit(lambda v, keys: flow.apply(v, keys, 2, method="sample"))
    drawn, again = jax.tree.map(np.asarray, (sample(variables, keys), sample(variables, keys[::-1])))
    np.testing.assert_array_equal(drawn.x, drawn.base)
    np.testing.assert_allclose(drawn.log_prob, normal_log_prob(drawn.x), rtol=1e-5)
    np.testing.assert_allclose(drawn.x.mean(axis=0), 0.0, atol=5 / np.sqrt(4000))
    np.testing.assert_allclose(np.cov(drawn.x.T), np.eye(2), atol=5 * np.sqrt(2 / 4000))
    np.testing.assert_array_equal(again.x, drawn.x[::-1])


def test_a_penalty_is_of_the_points_path_alone_and_that_path_is_sown():
    config = SolveConfig(steps=2, penalty=Penalty(kinetic=1.0, jacobian=0.5))
    flow = ContinuousFlow(Linear(), config)
    x, keys = jax.random.normal(jax.random.key(1), (3, 3)), jax.random.split(jax.random.key(2), 3)

    @jax.jit
    def run(variables):
        found, sown = flow.apply(variables, x, None, keys, mutable=["intermediates"])
        (path,) = sown["intermediates"]["solve"]
        noise = signs(keys, x)
        return found, solve(path.field.apply, path.variables, path.y0, path.ts, path.config, noise=noise)

    found, alone = run(initialised(flow, 3))
    np.testing.assert_allclose(found.penalty, alone.penalty, rtol=1e-5)
    np.testing.assert_allclose(found.base, alone.ys[:, -1], rtol=1e-5)


def test_a_hundred_steps_of_likelihood_fit_a_normal_distribution():
    """The cross-entropy ends near the entropy of the data, log(2 pi e) + log |det S|, the least there is."""
    mean, root = np.array([1.0, -1.0]), np.array([[0.6, 0.0], [0.5, 0.4]])
    x = jnp.asarray(mean + np.random.default_rng(0).normal(size=(256, 2)) @ root.T, jnp.float32)
    flow = ContinuousFlow(MLPField(hidden=(16,), time=True, size_at_start=0.0), GRID)
    variables, optimizer = jax.jit(lambda: initialised(flow, 2))(), optax.adam(0.03)

    def step(carry, _):
        variables, state = carry
        nll = lambda v: -jnp.mean(flow.apply(v, x).log_prob)  # noqa: E731
        loss, gradient = jax.value_and_grad(nll)(variables)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(variables, updates), state), loss

    start = variables, optimizer.init(variables)
    losses = jax.jit(lambda start: jax.lax.scan(step, start, length=100)[1])(start)
    np.testing.assert_allclose(losses[0], -normal_log_prob(x).mean(), rtol=1e-5)
    entropy = np.log(2 * np.pi * np.e) + np.linalg.slogdet(root)[1]
    assert losses[0] > entropy + 1
    assert abs(float(losses[-1]) - entropy) < 1 / np.sqrt(256)  # the spread of the entropy of 256 points


def test_a_length_that_is_none_and_an_estimate_without_keys_are_refused():
    with pytest.raises(ConfigError, match=r"above 0; got 0\.0"):
        initialised(ContinuousFlow(length=0.0), 2)
    flow, variables = bent(trace="hutchinson")
    with pytest.raises(ConfigError, match="a key for each row"):
        flow.apply(variables, jnp.zeros((1, 2)))
