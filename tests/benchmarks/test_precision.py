"""What rounding costs: a float64 solve is the truth, rounded products miss it and cost evaluations, and a table."""

import dataclasses

import numpy as np
import precision
import pytest
import scipy.linalg
from recording import write_result

from odeembed.fields.mlp import MLPField
from odeembed.results import tables


def test_the_truth_of_a_linear_field_is_that_of_expm():
    matrix = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    params = {"field": {"Dense_0": {"kernel": matrix, "bias": np.zeros(4, np.float32)}}}
    y0 = np.ones((2, 4), np.float32)
    flow = precision.Flow("linear", MLPField(hidden=()), params, y0, np.float32([0, 1]))
    exact, rounded = precision.measure(flow, [dataclasses.replace(precision.ADAPTIVE[2], solver="bosh3")])
    with precision.jax.enable_x64(True):
        truth = precision.solved(flow, precision.TRUTH).ys[:, 1]
    np.testing.assert_allclose(truth, y0 @ scipy.linalg.expm(matrix.astype(np.float64)), rtol=1e-8)
    assert exact["failed"] == rounded["failed"] == 0
    assert exact["error"] < 1e-3 < rounded["error"] < 2**-6
    assert exact["evaluations"] < rounded["evaluations"] <= rounded["most_evaluations"]


def test_jumps_are_those_of_the_sentences():
    flow = precision.gru_ode(batch=2, length=3, hidden=4)
    (exact, rounded) = precision.measure(flow, [dataclasses.replace(precision.GRID, steps=2)])
    assert exact["evaluations"] == rounded["evaluations"] == 8
    assert 0 < exact["error"] < 0.1


def test_a_result_becomes_a_table(tmp_path):
    shared = {"field": "GRU", "failed": 0, "most_evaluations": 40, "accepted": 3.0, "rejected": 1.0}
    adaptive = shared | {"solver": "dopri5", "steps": None, "rtol": 1e-3}
    grid = shared | {"solver": "midpoint", "steps": 4, "rtol": None}
    rows = [
        grid | {"products": "float32", "evaluations": 8.0, "error": 1e-2},
        grid | {"products": "bfloat16", "evaluations": 8.0, "error": 2e-2},
        adaptive | {"products": "float32", "evaluations": 20.0, "error": 1e-4},
        adaptive | {"products": "bfloat16", "evaluations": 35.0, "error": 3e-3, "rejected": 7.25},
    ]
    write_result(tmp_path / "benchmarks" / "results" / "precision.json", {"kind": "precision", "rows": rows})
    found = tables(tmp_path)
    assert set(found) == {"precision"}
    _, _, first, second = found["precision"].splitlines()
    assert (
        first == "| GRU | midpoint, 4 steps an interval | 8.0 | 3.0, 1.0 | 1e-02 | 8.0 | 3.0, 1.0 | 2e-02 |"
    )
    assert second == "| GRU | dopri5, 1e-03 | 20.0 | 3.0, 1.0 | 1e-04 | 35.0 | 3.0, 7.2 | 3e-03 |"


def test_a_solve_that_failed_has_no_error_in_the_table(tmp_path):
    row = {
        "field": "GRU",
        "solver": "dopri5",
        "steps": None,
        "rtol": 1e-3,
        "evaluations": 1.0,
        "accepted": 1.0,
    }
    rows = [
        row | {"rejected": 0.0, "error": 0.1, "products": kind, "failed": 2}
        for kind in ("float32", "bfloat16")
    ]
    write_result(tmp_path / "benchmarks" / "results" / "precision.json", {"kind": "precision", "rows": rows})
    assert tables(tmp_path)["precision"].count("2 failed") == 2


@pytest.mark.slow
def test_the_whole_perceptron_is_solved():
    (row, _) = precision.measure(precision.perceptron(batch=4), precision.ADAPTIVE[:1])
    assert row["failed"] == 0 and row["error"] < 0.1
