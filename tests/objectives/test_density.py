"""Likelihood and flow matching of points: losses by hand, rows of padding left out, penalties added."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.mlp import MLPField
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.models.planar import PlanarFlow
from odeembed.objectives.density import FlowMatching, Likelihood
from odeembed.objectives.flow_matching import flow_matching_loss
from odeembed.solve.config import Penalty, SolveConfig

GRID = SolveConfig(solver="midpoint", steps=2)
KEY, STEP = jax.random.key(5), jnp.int32(3)


def model_of(**settings):
    return DensityEstimator(ContinuousFlow(MLPField((4,), time=True), GRID, **settings))


def batch_of(rows=4, padding=2):
    x = np.random.default_rng(0).normal(size=(rows + padding, 2)).astype(np.float32)
    index = np.where(np.arange(rows + padding) < rows, np.arange(rows + padding), -1).astype(np.int32)
    batch = Batch(x, np.zeros((len(x), 1), np.float32), (index >= 0)[:, None], index)
    return jax.tree.map(jnp.asarray, batch)


@pytest.mark.parametrize("objective", [Likelihood(), FlowMatching()])
def test_held_out_nats_are_those_of_the_real_rows_by_the_exact_trace(objective):
    batch, model = batch_of(), model_of(trace="hutchinson")
    params = objective.init(model, KEY, batch)
    found = objective.evaluate(model, params, batch, KEY)
    exact = model_of().apply({"params": params}, batch.values, method="log_prob").log_prob
    assert float(found["nats"].total) == pytest.approx(-float(exact[:4].sum()), rel=1e-5)
    assert found["nats"].count == 4 and found["solver/evaluations"].value == 4


def test_the_noise_of_a_trace_is_one_a_point_and_step():
    batch, model = batch_of(), model_of(trace="hutchinson")
    params = Likelihood().init(model, KEY, batch)
    loss = jax.jit(lambda batch, step: Likelihood()(model, params, batch, KEY, step)["loss"].total)
    whole = loss(batch, STEP)
    rows = [loss(jax.tree.map(lambda x, i=i: x[i : i + 1], batch), STEP) for i in range(4)]
    assert float(whole) == pytest.approx(float(sum(rows)), rel=1e-5)  # a point alone has the same noise
    assert float(loss(batch, STEP)) == float(whole) != float(loss(batch, STEP + 1))


def test_a_penalty_is_added_to_the_loss_and_told():
    batch, penalty = batch_of(), Penalty(kinetic=0.5, jacobian=0.5)
    model = model_of()
    params = Likelihood().init(model, KEY, batch)
    penalised = DensityEstimator(model.flow.clone(config=replace(GRID, penalty=penalty)))
    plain = Likelihood()(model, params, batch, KEY, STEP)
    found = Likelihood()(penalised, params, batch, KEY, STEP)
    assert "penalty" not in plain and found["penalty"].value > 1e-3
    assert found["nats"].value == pytest.approx(plain["nats"].value, rel=1e-5)
    assert found["loss"].value == pytest.approx(found["nats"].value + found["penalty"].value, rel=1e-5)


def test_flow_matching_solves_nothing_and_needs_a_field():
    batch, model = batch_of(), model_of()
    params = FlowMatching().init(model, KEY, batch)
    found = FlowMatching(sigma_min=0.1)(model, params, batch, KEY, STEP)
    assert set(found) == {"loss"} and found["loss"].count == 4
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(KEY, STEP), i))(batch.index[:4])
    rows = flow_matching_loss(model.flow, params["flow"], batch.values[:4], keys, sigma_min=0.1)
    assert found["loss"].total == pytest.approx(float(rows.sum()), rel=1e-5)
    with pytest.raises(ConfigError, match="got PlanarFlow"):
        FlowMatching().init(DensityEstimator(PlanarFlow(2)), KEY, batch)
