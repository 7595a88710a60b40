"""Models of series: inputs by hand, paths that go both ways, forecasts fed by hand, and what padding cannot change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.mlp import MLPField
from odeembed.models.controlled import Controlled
from odeembed.models.decoders import FlowDecoder, JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import (
    LatentODE,
    Recurrent,
    SeriesClassifier,
    SeriesPredictor,
    ends_of,
)
from odeembed.solve.config import SolveConfig

KEY = jax.random.key(0)
FINE = SolveConfig(solver="rk4", steps=8)
RNN = JumpFlow(hidden=6, field=None, directions=("forward",))
ODE = JumpFlow(hidden=6, field=MLPField((8,)), config=FINE, directions=("forward",))
NAN = np.nan


def batch_of(rows=3, n=5, c=2, padding=0, seed=0):
    """Series of n times, the last `padding` of which are not real."""
    rng = np.random.default_rng(seed)
    ts = np.cumsum(rng.uniform(0.2, 1.0, (rows, n + padding)), axis=1)
    values = rng.normal(size=(rows, n + padding, c))
    values[0, 1, 0] = NAN
    mask = np.broadcast_to(np.arange(n + padding) < n, ts.shape)
    values[~mask] = 0
    batch = Batch(values.astype(np.float32), ts.astype(np.float32), mask, np.arange(rows, dtype=np.int32))
    return jax.tree.map(jnp.asarray, batch)


def built(model, batch):
    return jax.jit(model.init)(KEY, batch)


def means_of(model, params, batch):
    return jax.jit(lambda params, batch: model.apply(params, batch).means)(params, batch)


def inputs_of(reader, values, times, mask):
    """What a reader makes of values: [b, n, e]."""
    seen = ~np.isnan(values) & mask[..., None]
    arrays = (jnp.asarray(x) for x in (np.where(seen, values, 0).astype(np.float32), seen, times, mask))
    params = reader.init(KEY, jnp.asarray(values), jnp.asarray(times), jnp.asarray(mask))
    return np.asarray(reader.apply(params, *arrays, method="_inputs")), params


def test_inputs_are_values_what_was_seen_the_gaps_and_the_time():
    times = np.array([[1.0, 1.5, 4.0, 9.0]], np.float32)
    mask = np.array([[True, True, True, False]])
    values = np.array([[[1.0], [NAN], [3.0], [0.0]]], np.float32)
    plain, _ = inputs_of(Recurrent(RNN), values, times, mask)
    np.testing.assert_allclose(plain[0], [[1, 1], [0, 0], [3, 1], [0, 0]])
    gaps, _ = inputs_of(Recurrent(RNN, gaps=True, clock=True), values, times, mask)
    np.testing.assert_allclose(gaps[0, :, 2:4], [[0, 0.5], [0.5, 2.5], [2.5, 0], [0, 0]])
    np.testing.assert_allclose(gaps[0, :, 4], times[0])


def test_what_was_last_seen_decays_at_the_rate_of_its_age():
    times = np.array([[0.0, 1.0, 3.0]], np.float32)
    values = np.array([[[2.0, NAN], [NAN, NAN], [NAN, 5.0]]], np.float32)
    found, params = inputs_of(Recurrent(RNN, decay=True), values, times, np.ones((1, 3), bool))
    kernel, bias = (float(params["params"]["rate"][name].ravel()[0]) for name in ("kernel", "bias"))
    left = lambda age: 2.0 * np.exp(-max(0.0, kernel * age + bias))  # noqa: E731
    np.testing.assert_allclose(found[0, :, 0], [2.0, left(1), left(3)], rtol=1e-6)
    np.testing.assert_allclose(found[0, :, 1], [0.0, 0.0, 5.0])
    np.testing.assert_allclose(found[0, :, 4:], [[0, 0], [1, 1], [3, 0]])


def test_first_and_last_real_times():
    ts = jnp.array([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    first, last = ends_of(ts, jnp.array([[True, False, True], [False, False, False]]))
    assert first.tolist() == [2.0, 0.0] and last.tolist() == [3.0, 0.0]


MODELS = [
    SeriesPredictor(Recurrent(RNN, gaps=True)),
    SeriesPredictor(Recurrent(ODE, decay=True)),
    LatentODE(
        Recurrent(JumpFlow(6, None), gaps=True, clock=True),
        FlowDecoder(5, MLPField((8,)), FINE),
        anywhere=True,
    ),
    LatentODE(Recurrent(JumpFlow(6, None, directions=("backward",))), FlowDecoder(5, MLPField((8,)), FINE)),
    LatentODE(decoder=JumpDecoder(JumpFlow(5, None, directions=("forward",)), tokens=False, waves=2)),
]


EACH = [
    pytest.param(model, id=str(number), marks=[] if number in (0, 2) else [pytest.mark.slow])
    for number, model in enumerate(MODELS)
]


@pytest.mark.parametrize("model", EACH)
def test_padding_and_neighbours_cannot_change_the_means(model):
    batch = batch_of()
    params = built(model, batch)
    means = means_of(model, params, batch)
    assert means.shape == (3, 5, 2) and jnp.isfinite(means).all()
    padded = batch_of(padding=3)
    real = padded._replace(
        values=padded.values.at[:, :5].set(batch.values), times=padded.times.at[:, :5].set(batch.times)
    )
    real = real._replace(times=real.times.at[:, 5:].set(batch.times[:, -1:] + jnp.arange(1.0, 4.0)))
    np.testing.assert_allclose(means_of(model, params, real)[:, :5], means, rtol=2e-5, atol=2e-6)
    alone = jax.tree.map(lambda x: x[1:2], batch)
    np.testing.assert_allclose(means_of(model, params, alone)[0], means[1], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("model", EACH)
def test_gradients_are_finite_where_values_are_missing(model):
    batch = batch_of(padding=2)
    params = built(model, batch)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(model.apply(p, batch).means[:, :5] ** 2)))(params)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_a_predictor_knows_nothing_of_what_it_predicts():
    for reader in (Recurrent(RNN, gaps=True), Recurrent(ODE)):
        model, batch = SeriesPredictor(reader), batch_of()
        params = built(model, batch)
        other = batch._replace(values=batch.values.at[:, 3:].add(1.0))
        one, two = (means_of(model, params, b) for b in (batch, other))
        np.testing.assert_allclose(one[:, :4], two[:, :4], rtol=1e-6)
        assert (jnp.abs(one[:, 4] - two[:, 4]) > 1e-5).any()
    with pytest.raises(ConfigError, match="from what was before"):
        SeriesPredictor(Recurrent(JumpFlow(6, None))).init(KEY, batch_of())


@pytest.mark.parametrize("reader", [Recurrent(RNN, gaps=True), Recurrent(ODE, clock=True)])
def test_forecasts_are_the_means_of_a_series_that_goes_on_with_them(reader):
    model, batch = SeriesPredictor(reader), batch_of(padding=1)
    params = built(model, batch)
    last = ends_of(batch.times, batch.mask)[1]
    ts = last[:, None] + jnp.array([0.5, 1.5, 1.7])
    found = model.apply(params, batch, ts, method="forecast").means
    fed = batch_of()._replace(values=batch.values[:, :5], times=batch.times[:, :5], mask=batch.mask[:, :5])
    for k in range(3):
        # The mean at ts[k] does not depend on the value that stands there.
        grown = Batch(
            jnp.concatenate([fed.values, jnp.zeros((3, 1, 2))], axis=1),
            jnp.concatenate([fed.times, ts[:, k : k + 1]], axis=1),
            jnp.concatenate([fed.mask, jnp.ones((3, 1), bool)], axis=1),
            fed.index,
        )
        mean = means_of(model, params, grown)[:, -1]
        np.testing.assert_allclose(found[:, k], mean, rtol=2e-4, atol=2e-5)
        fed = grown._replace(values=grown.values.at[:, -1].set(mean))


def test_a_path_goes_both_ways_from_the_time_of_its_code():
    model, batch = MODELS[2], batch_of()
    params = built(model, batch)
    z = jax.random.normal(KEY, (3, model.latent))
    at, mask = jnp.array([1.0, 2.0, 3.0]), jnp.ones((3, 4), bool)
    around = at[:, None] + jnp.array([-1.0, -0.25, 0.0, 2.0])
    means = model.apply(params, z, around, mask, at, method="decode").means
    shifted = model.apply(params, z, around - 7.0, mask, at - 7.0, method="decode").means
    np.testing.assert_allclose(means, shifted, rtol=1e-4, atol=1e-5)  # it knows only the distance
    later = model.apply(params, z, around[:, 2:] - at[:, None], mask[:, 2:], method="decode").means
    np.testing.assert_allclose(means[:, 2:], later, rtol=1e-4, atol=1e-5)
    start = model.apply(params, z, around[:, :1], mask[:, :1], at, method="decode").means
    np.testing.assert_allclose(means[:, :1], start, rtol=1e-3, atol=1e-4)


def test_the_code_is_nearest_to_what_is_asked_for():
    model, batch = MODELS[2], batch_of()
    first, last = ends_of(batch.times, batch.mask)
    asked = lambda ts: model.apply({}, batch, ts, jnp.ones(ts.shape, bool), method="nearest")  # noqa: E731
    span = jnp.array([1.0, 5.0])
    np.testing.assert_allclose(asked(last[:, None] + span), last)
    np.testing.assert_allclose(asked(first[:, None] - 6 + span), first)
    np.testing.assert_allclose(asked(jnp.stack([first, last], axis=1)), (first + last) / 2, rtol=1e-6)


@pytest.mark.parametrize("anywhere", [False, True])
def test_forecasts_of_a_latent_path_at_its_own_times_are_its_means(anywhere):
    model, batch = MODELS[2].clone(anywhere=anywhere), batch_of()
    params = built(model, batch)
    ahead = model.apply(params, batch, batch.times, method="forecast").means
    np.testing.assert_allclose(ahead, model.apply(params, batch).means, rtol=1e-4, atol=1e-5)


def test_far_forecasts_on_a_grid_take_steps_as_short_as_training():
    coarse = LatentODE(
        Recurrent(JumpFlow(6, None)), FlowDecoder(5, MLPField((8,)), SolveConfig(solver="midpoint", steps=1))
    )
    fine = coarse.clone(decoder=FlowDecoder(5, MLPField((8,)), SolveConfig(solver="rk4", steps=64)))
    batch = batch_of(n=40)
    params = built(coarse, batch)
    far = batch.times[:, -1:] + jnp.array([0.3, 0.9])
    one, two = (model.apply(params, batch, far, method="forecast").means for model in (coarse, fine))
    np.testing.assert_allclose(one, two, atol=0.05)
    z = coarse.apply(params, batch, method="posterior").mean
    at_once = coarse.apply(params, z, far, jnp.ones(far.shape, bool), method="decode").means
    assert jnp.abs(at_once - two).max() > 0.2  # one step from the code to there


@pytest.mark.parametrize(
    "reader", [Recurrent(RNN, gaps=True), Recurrent(ODE), Recurrent(JumpFlow(6, None)), Controlled(6)]
)
def test_a_classifier_reads_all_that_was_seen(reader):
    model, batch = SeriesClassifier(reader, classes=3), batch_of(padding=1)
    params = built(model, batch)
    out = model.apply(params, batch)
    assert out.logits.shape == (3, 3) and not out.failed.any()
    changed = model.apply(params, batch._replace(values=batch.values.at[:, 4].add(1.0))).logits
    assert (jnp.abs(changed - out.logits) > 1e-6).any()
    beyond = model.apply(params, batch._replace(values=batch.values.at[:, 5].set(9.0))).logits
    np.testing.assert_allclose(beyond, out.logits, rtol=1e-6)
