"""Forecasts beside the truth: in the order of the split, by name, and zero for the truth itself."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.data.series import SeriesData
from odeembed.data.spirals import Spirals
from odeembed.evaluate.forecasts import Forecasts, forecasts
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import FlowDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.series import LatentODE, Recurrent, SeriesPredictor
from odeembed.solve.config import SolveConfig

DATA = SeriesData(Spirals(count=160, observed=10), buckets=(10,), batch_times=80)


def run_of(model):
    dataset = DATA.open(0)
    params = model.init(jax.random.key(0), jax.tree.map(jnp.asarray, dataset.batch(0)))["params"]
    return SimpleNamespace(model=model, params=params, dataset=dataset)


LATENT = LatentODE(
    Recurrent(JumpFlow(4, None), gaps=True, clock=True),
    FlowDecoder(4, MLPField((4,)), SolveConfig(solver="midpoint", steps=1)),
    anywhere=True,
)
RNN = SeriesPredictor(Recurrent(JumpFlow(4, None, directions=("forward",)), gaps=True))


@pytest.mark.parametrize(("model", "names"), [(LATENT, {"between", "after", "before"}), (RNN, {"after"})])
def test_each_series_has_its_own_forecast_in_the_order_of_the_split(model, names):
    run = run_of(model)
    found = forecasts(run, "test")
    assert found.keys() == names and all(means.shape == (16, 100, 2) for means in found.values())
    batch = next(run.dataset.evaluation("test"))
    ts = jnp.tile(jnp.asarray(run.dataset.truth("test")["after"][0]), (8, 1))
    means = model.apply({"params": run.params}, batch, ts, method="forecast").means
    np.testing.assert_allclose(found["after"][batch.index], means, rtol=1e-4, atol=1e-5)
    scores = Forecasts()(run)
    assert scores.keys() == {f"rmse/{name}" for name in names}
    truth = run.dataset.truth("test")["after"][1]
    wanted = np.sqrt(np.square(found["after"] - truth).mean())
    assert scores["rmse/after"] == pytest.approx(float(wanted), rel=1e-6)


def test_a_model_that_knows_the_truth_is_at_no_distance_from_it(monkeypatch):
    run = run_of(RNN)
    truth = run.dataset.truth("test")
    monkeypatch.setattr(
        "odeembed.evaluate.forecasts.forecasts",
        lambda run, split: {name: ys for name, (_, ys) in truth.items()},
    )
    assert Forecasts()(run) == {"rmse/between": 0.0, "rmse/after": 0.0, "rmse/before": 0.0}
