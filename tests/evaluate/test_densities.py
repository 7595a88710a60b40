"""What is measured of a density, on flows that are known: the one that moves nothing, and a linear one."""

import math
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.data.densities import ToyDensity
from odeembed.data.points import PointData
from odeembed.evaluate.densities import Densities, drawn, inverse_error, log_densities
from odeembed.experiment import replace_nodes
from odeembed.models.density import DensityEstimator
from odeembed.models.flow import ContinuousFlow
from odeembed.models.planar import PlanarFlow
from odeembed.solve.config import SolveConfig


class Shrink(nn.Module):
    """dy/dt = -rate y: N(0, I) becomes N(0, exp(-2 rate) I)."""

    rate: float = 0.5

    def __call__(self, t, y, context=None):
        return -self.rate * y


def model_of(rate, steps=2):
    return DensityEstimator(ContinuousFlow(Shrink(rate), SolveConfig(solver="rk4", steps=steps)))


class Run(SimpleNamespace):
    def with_solver(self, **settings):
        changed = replace_nodes(self.model, SolveConfig, lambda _: SolveConfig(steps=None, **settings))
        return Run(**vars(self) | {"model": changed})


def run_of(model, params, standardised=False):
    data = PointData(
        *(ToyDensity("circles", 500, seed) for seed in range(3)), rows=100, standardised=standardised
    )
    return Run(model=model, params=params, experiment=SimpleNamespace(data=data), dataset=data.open(0))


def test_a_linear_flow_by_hand():
    model, run = model_of(0.5), run_of(model_of(0.5), {})
    found = Densities(grid=200, points=100)(run)
    x, scale = run.dataset.points["test"], math.exp(-0.5)
    nats = np.mean(0.5 * np.sum(np.square(x / scale), 1) + 2 * math.log(scale) + math.log(2 * math.pi))
    assert found["density/nats"] == pytest.approx(nats, rel=1e-4)
    truth = -np.mean(ToyDensity("circles", 500, 2).log_density(x))
    assert found["density/truth"] == pytest.approx(truth, rel=1e-6)
    assert found["density/divergence"] == pytest.approx(nats - truth, rel=1e-3) and truth < nats
    assert found["density/mass"] == pytest.approx(1.0, abs=1e-4)
    assert found["density/fine_inverse"] < 1e-4 < found["density/evaluations"]
    coarse = inverse_error(model_of(4.0, steps=1), {}, x)  # one step of rk4 is far from its inverse here
    assert coarse > 0.1 and inverse_error(model, {}, x) < 0.01
    small = drawn(model, {}, 4000)
    np.testing.assert_allclose(small.std(0), scale, rtol=0.05)
    np.testing.assert_array_equal(small[:7], drawn(model, {}, 4000)[:7])


def test_a_planar_flow_has_a_mass_and_no_inverse():
    model = DensityEstimator(PlanarFlow(3))
    params = model.init(jax.random.key(0), jnp.zeros((1, 2)), method="log_prob")["params"]
    found = Densities(grid=200)(run_of(model, params, standardised=True))
    assert set(found) == {"density/nats", "density/mass"}  # the truth is known in other units
    assert found["density/mass"] == pytest.approx(1.0, abs=1e-3)


def test_points_beyond_a_block_are_measured_like_those_within(monkeypatch):
    x = np.random.default_rng(0).normal(size=(11, 2)).astype(np.float32)
    whole = log_densities(model_of(0.3), {}, x)
    monkeypatch.setattr("odeembed.evaluate.densities._BLOCK", 4)
    parts = log_densities(model_of(0.3), {}, x)
    np.testing.assert_allclose(parts.log_prob, whole.log_prob, rtol=1e-6)
    assert parts.base.shape == (11, 2) and (parts.evaluations == 8).all()
