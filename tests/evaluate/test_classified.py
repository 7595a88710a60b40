"""Calibration by hand, evaluations counted where they happen, and one model under less and more exact solves."""

from dataclasses import replace
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.evaluate.classified import (
    LabelScores,
    area_under_curve,
    asked,
    calibration_error,
    classified,
    solves,
)
from odeembed.fields.augmented import Augmented
from odeembed.fields.mlp import MLPField
from odeembed.models.classified import Classified
from odeembed.objectives.classification import Classification
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE


class Points(nn.Module):
    """Points to logits by a solve."""

    config: SolveConfig
    field: nn.Module = Augmented(MLPField(), extra=1)

    def setup(self):
        self.ode = NeuralODE(self.field, self.config)

    def __call__(self, batch):
        y = self.field.lift(jnp.asarray(batch.values))
        found = self.ode(y, jnp.broadcast_to(jnp.array([0.0, 1.0]), (len(y), 2)))
        return Classified(found.ys[:, -1], found.stats, found.failed)


def batch(index):
    values = np.random.default_rng(0).normal(size=(len(index), 2)).astype(np.float32)
    index = np.asarray(index, np.int32)
    return Batch(
        values, np.zeros((len(index), 1)), index[:, None] >= 0, index, target=index % 3 * (index >= 0)
    )


def run_of(config):
    model, batches = Points(config), [batch([0, 1, 2, 3]), batch([4, 5, -1, -1])]
    params = Classification().init(model, jax.random.key(0), batches[0])
    dataset = SimpleNamespace(evaluation=lambda split: iter(batches), batch=lambda step: batches[0])
    return SimpleNamespace(
        model=model,
        params=params,
        dataset=dataset,
        experiment=SimpleNamespace(objective=Classification()),
        with_solver=lambda **settings: SimpleNamespace(model=Points(replace(config, **settings))),
    )


def test_calibration_by_hand():
    confidence = np.array([0.62, 0.7, 0.95, 0.91, 0.99])
    logits = np.log(np.stack([1 - confidence, confidence], -1))
    target = np.array([1, 0, 1, 1, 0])
    wanted = (
        abs(0.62 - 1) + abs(0.7 - 0) * 1 + abs(0.95 + 0.91 + 0.99 - 2)
    ) / 5  # of ten bins three are filled
    assert calibration_error(logits, target, 10) == pytest.approx(wanted, abs=1e-12)
    sure = np.array([[0.0, 900.0], [900.0, 0.0]])
    assert calibration_error(sure, np.array([1, 0])) == 0 and calibration_error(sure, np.array([0, 1])) == 1


@pytest.mark.parametrize(
    ("config", "forward", "backward"),
    [
        (SolveConfig(solver="rk4", steps=8, adjoint="direct"), 32, 0),
        (SolveConfig(solver="rk4", steps=3, adjoint="backsolve"), 12, 12 + 2),
    ],
)
def test_evaluations_are_counted_where_they_happen(config, forward, backward):
    run = run_of(config)
    assert asked(run.model, Classification(), run.params, batch([0, 1])) == (forward, backward)


def test_adaptive_evaluations_are_those_the_solver_tells_of():
    config = SolveConfig(solver="dopri5", steps=None, rtol=1e-2, atol=1e-2, control="batch", adjoint="replay")
    run = run_of(config)
    forward, backward = asked(run.model, Classification(), run.params, batch([0, 1]))
    out = classified(run.model, run.params, [batch([0, 1])])[2]
    assert forward == out.stats["evaluations"][0] and backward > 0


@pytest.mark.parametrize(("control", "backward"), [("row", 2 * (7 + 5)), ("batch", 2 * 7)])
def test_the_way_back_asks_once_a_stage_where_a_batch_takes_a_step_together(control, backward):
    """Two steps of dopri5, whose seven stages count in the error and five in the quadrature."""
    config = SolveConfig(
        solver="dopri5",
        steps=None,
        rtol=1e-2,
        atol=1e-2,
        control=control,
        adjoint="backsolve",
        first_step=0.5,
    )
    run = run_of(config)
    assert asked(run.model, Classification(), run.params, batch([0, 1]))[1] == backward


def test_scores_of_a_run():
    found = LabelScores(rtols=(1e-1, 1e-5), examples=5)(run_of(SolveConfig(steps=None, solver="tsit5")))
    logits, target, out = classified(
        *(getattr(run_of(SolveConfig()), name) for name in ("model", "params")), [batch([0, -1])]
    )
    assert logits.shape == (1, 3) and target.shape == (1,) and out.failed.shape == (1,)
    assert {name.split("/", 1)[1] for name in found} == {
        "calibration",
        "forward",
        "backward",
        *(f"{what}/rtol={rtol}" for what in ("error", "evaluations") for rtol in ("0.1", "1e-05")),
    }
    assert found["labels/evaluations/rtol=0.1"] < found["labels/evaluations/rtol=1e-05"]
    steps = LabelScores(steps=(1, 4)).efforts(run_of(SolveConfig(solver="euler", steps=2)))
    assert [(effort.setting, effort.value, effort.evaluations) for effort in steps] == [
        ("steps", 1, 1),
        ("steps", 4, 4),
    ]
    assert all(0 <= effort.error <= 1 and effort.milliseconds > 0 and effort.failed == 0 for effort in steps)


def test_a_model_without_a_solve_has_no_evaluations():
    assert solves(MLPField()) is None and solves(Points(SolveConfig(steps=2))).steps == 2


def test_the_area_under_the_curve_is_how_often_ones_are_above_zeros():
    rng = np.random.default_rng(0)
    score, target = np.round(rng.normal(size=60), 1), rng.integers(0, 2, 60)
    score = score + target
    pairs = score[target == 1][:, None] - score[target == 0][None]
    wanted = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert area_under_curve(score, target) == pytest.approx(wanted, rel=1e-12)
    assert np.isnan(area_under_curve(score, np.ones(60, int)))
