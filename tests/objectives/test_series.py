"""Objectives of series: likelihoods by hand, gaps and padding left out, halves that add up, codes at drawn times."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import FlowDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import LatentODE, Recurrent, SeriesPredictor, ends_of
from odeembed.objectives.sentence_vae import Annealing
from odeembed.objectives.series import NextObservation, SeriesELBO
from odeembed.solve.config import Penalty, SolveConfig

KEY, STEP = jax.random.key(5), jnp.int32(3)
GRID = SolveConfig(solver="midpoint", steps=1)
PREDICTOR = SeriesPredictor(Recurrent(JumpFlow(4, None, directions=("forward",))), hidden=0)


def latent(config=GRID, **settings):
    return LatentODE(
        Recurrent(JumpFlow(4, None)), FlowDecoder(4, MLPField((4,)), config), latent=3, hidden=0, **settings
    )


def batch_of(rows=4, padding=2):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows + padding, 5, 2)).astype(np.float32)
    values[:, 1, 0] = np.nan
    index = np.where(np.arange(rows + padding) < rows, np.arange(rows + padding), -1).astype(np.int32)
    mask = (np.arange(5) < 4) & (index >= 0)[:, None]
    values[~mask] = 0
    times = np.cumsum(rng.uniform(0.2, 1, (rows + padding, 5)), axis=1).astype(np.float32)
    return jax.tree.map(jnp.asarray, Batch(values, times, mask, index))


def seen(batch):
    values = np.asarray(batch.values)
    return ~np.isnan(values) & np.asarray(batch.mask)[..., None]


def test_the_loss_of_a_predictor_is_the_likelihood_of_what_was_seen():
    batch = batch_of()
    objective = NextObservation(noise=0.3)
    params = objective.init(PREDICTOR, KEY, batch)
    means = np.asarray(PREDICTOR.apply({"params": params}, batch).means)
    found = objective(PREDICTOR, params, batch, KEY, STEP)
    at = seen(batch)
    assert at.sum() == 4 * (4 * 2 - 1)
    errors = np.asarray(batch.values)[at] - means[at]
    assert float(found["loss"].total) == pytest.approx(-stats.norm.logpdf(errors, scale=0.3).sum(), rel=1e-5)
    assert found["loss"].count == 4 and found["mse"].count == 28
    assert float(found["mse"].total) == pytest.approx(np.square(errors).sum(), rel=1e-5)
    held = objective.evaluate(PREDICTOR, params, batch, KEY)
    assert held["mse"].value == pytest.approx(np.square(errors).mean(), rel=1e-5)


def test_the_bound_is_the_mean_likelihood_of_its_codes_less_the_divergence():
    batch, model = batch_of(), latent()
    objective = SeriesELBO(noise=0.5, annealing=Annealing(0.0, 0.25, rise=0), samples=3)
    params = objective.init(model, KEY, batch)
    found = objective(model, params, batch, KEY, STEP)
    kl = model.apply({"params": params}, batch, method="posterior").kl_by_dimension().sum(-1)[:4].sum()
    assert float(found["kl"].total) == pytest.approx(float(kl), rel=1e-5)
    total = found["reconstruction"].total + 0.25 * found["kl"].total
    assert float(found["loss"].total) == pytest.approx(float(total), rel=1e-5)
    floor = 28 * 0.5 * math.log(2 * math.pi * 0.5**2)
    assert found["reconstruction"].total > floor
    means = model.apply({"params": params}, batch).means
    errors = np.asarray(batch.values - means)[seen(batch)]
    held = objective.evaluate(model, params, batch, KEY)
    assert held["mse"].value == pytest.approx(np.square(errors).mean(), rel=1e-5)
    assert float(held["elbo"].total) == pytest.approx(
        -float(held["reconstruction"].total + held["kl"].total), rel=1e-5
    )


@pytest.mark.parametrize("anywhere", [False, True])
def test_halves_of_a_batch_add_up_and_rows_of_padding_add_nothing(anywhere):
    batch, model = batch_of(), latent(anywhere=anywhere)
    objective = SeriesELBO(noise=0.5, samples=2)
    params = objective.init(model, KEY, batch)
    loss = jax.jit(lambda rows: objective(model, params, rows, KEY, STEP)["loss"].total)
    parts = [loss(jax.tree.map(lambda x, i=i: x[i : i + 2], batch)) for i in (0, 2, 4)]
    assert float(sum(parts)) == pytest.approx(float(loss(batch)), rel=1e-4) and parts[2] == 0


@pytest.mark.parametrize(
    ("model", "objective"),
    [(PREDICTOR, NextObservation()), (latent(), SeriesELBO()), (latent(anywhere=True), SeriesELBO())],
)
def test_what_was_not_seen_reaches_no_gradient(model, objective):
    batch = batch_of()
    params = objective.init(model, KEY, batch)
    gradient = jax.grad(lambda p: objective(model, p, batch, KEY, STEP)["loss"].total)(params)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradient))
    assert any((g != 0).any() for g in jax.tree.leaves(gradient))


def test_codes_are_at_times_drawn_anew_in_every_step_between_what_was_seen(monkeypatch):
    batch, model, found = batch_of(), latent(anywhere=True), []
    objective = SeriesELBO()
    params = objective.init(model, KEY, batch)
    decode = LatentODE.decode
    monkeypatch.setattr(
        LatentODE,
        "decode",
        lambda self, z, ts, mask, at=None: found.append(at) or decode(self, z, ts, mask, at),
    )
    for step in range(3):
        objective(model, params, batch, KEY, jnp.int32(step))
    first, last = ends_of(batch.times, batch.mask)
    drawn = np.stack(found)
    assert (drawn[:, :4] > np.asarray(first)[:4]).all() and (drawn[:, :4] < np.asarray(last)[:4]).all()
    assert len(set(drawn[:, :4].ravel().tolist())) == 12


def test_penalties_are_part_of_the_loss():
    batch, model = batch_of(), latent(SolveConfig(solver="midpoint", steps=1, penalty=Penalty(kinetic=0.1)))
    params = SeriesELBO().init(model, KEY, batch)
    found = SeriesELBO()(model, params, batch, KEY, STEP)
    assert found["penalty"].total > 0
    total = found["reconstruction"].total + found["kl"].total + found["penalty"].total
    assert float(found["loss"].total) == pytest.approx(float(total), rel=1e-5)


def test_settings_that_cannot_be_are_refused():
    for make in (SeriesELBO, NextObservation):
        with pytest.raises(ConfigError, match="standard deviation above 0"):
            make(noise=0.0)
    with pytest.raises(ConfigError, match="samples must be at least 1"):
        SeriesELBO(samples=0)
