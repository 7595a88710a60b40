"""Gradient methods are measured against the truth, and the advice is read off what was measured."""

import dataclasses

import pytest

from odeembed.errors import ConfigError, DerivativeError
from odeembed.evaluate import adjoints
from odeembed.evaluate.adjoints import Lab, advice, measure
from odeembed.solve.solve import solve

TINY = Lab(batch=2, width=4, grid=(8, 32), rtols=(1e-3,), solver="bosh3", max_steps=64, repeats=1)


@pytest.fixture(scope="module")
def rows():
    told = []
    found = measure(TINY, ["replay", "direct"], told.append)
    assert len(told) == len(found) == 6
    return {(row["method"], row["steps"] or row["rtol"]): row for row in found}


def test_a_gradient_is_as_far_from_the_truth_as_its_solution(rows):
    """Midpoint is of order two: four times the steps, a sixteenth of the error; both methods take the same steps."""
    for method in ("replay", "direct"):
        few, many, adaptive = (rows[method, case] for case in (8, 32, 1e-3))
        assert few["error"] / many["error"] == pytest.approx(16, rel=0.4)
        assert 0 < adaptive["error"] < 0.1
        for row in (few, many, adaptive):
            assert row["rounding"] < 1e-5 and row["inexactness"] < 1e-12
            assert row["seconds"] > 0 and row["compile_seconds"] > 0 and row["bytes"] > 0
    assert rows["replay", 1e-3]["error"] == pytest.approx(rows["direct", 1e-3]["error"], rel=1e-3)


def test_evaluations_and_memory_grow_with_the_steps_of_a_grid(rows):
    assert [rows["direct", steps]["evaluations"] for steps in TINY.grid] == [16, 64]
    assert rows["direct", 32]["bytes"] > rows["direct", 8]["bytes"]


def test_what_cannot_be_measured_is_left_out_with_its_reason(monkeypatch):
    def refusing(field, params, y0, ts, config):
        if config.adjoint == "recursive":
            raise DerivativeError("recursive has none.")
        return solve(field, params, y0, ts, config)

    monkeypatch.setattr(adjoints, "solve", refusing)
    lab = dataclasses.replace(TINY, grid=(8,), rtols=(), most_bytes=1)
    large, refused = measure(lab, ["direct", "recursive"])
    assert "more than the 0 MiB allowed" in large["skipped"]
    assert large["bytes"] > 1 and "seconds" not in large
    assert refused["skipped"] == "recursive has none." and "bytes" not in refused
    (short,) = measure(dataclasses.replace(TINY, grid=(), max_steps=2), ["replay"])
    assert short["skipped"] == "status 1 in 2 rows"


def made(method, steps=None, rtol=None, **found):
    found = {"skipped": None, "seconds": 1.0, "bytes": 100, "error": 1e-3, "inexactness": 0.0} | found
    return {"method": method, "steps": steps, "rtol": rtol} | found


MADE = [
    made("replay", 8, seconds=2.0, bytes=100),
    made("direct", 8, seconds=1.0, bytes=200),
    made("backsolve", 8, seconds=3.0, bytes=150, inexactness=3e-2),
    made("replay", 64, seconds=20.0, bytes=300),
    made("direct", 64, bytes=1600, skipped="needs too much"),
    made("backsolve", 64, seconds=40.0, bytes=150, inexactness=1e-3),
    made("replay", rtol=1e-3, seconds=2.0),
    made("direct", rtol=1e-3, seconds=8.0),
    made("backsolve", rtol=1e-3, seconds=8.0, inexactness=None),
]


def test_the_advice_is_what_the_rows_say():
    """replay is 2, 1 and 1 times the fastest: 2^(1/3) on average; backsolve alone keeps its memory."""
    assert advice(MADE) == (
        "for time take replay (1.26 times the fastest, on average); for memory backsolve (1.00 times as much at 64 "
        "steps as at 8); for the gradient of the steps that were taken replay or direct, and not backsolve (off by up "
        "to 3e-02)."
    )


def test_the_advice_follows_the_rows():
    faster = [row | {"seconds": 0.1} if row["method"] == "backsolve" else row for row in MADE]
    assert advice(faster).startswith("for time take backsolve (1.00 times the fastest, on average)")
    flat = [row | {"bytes": 90} if row["method"] == "replay" else row for row in MADE]
    assert "for memory replay (1.00 times as much" in advice(flat)
    exact = [row | {"inexactness": 1e-13} for row in MADE]
    assert advice(exact).endswith("taken replay, direct or backsolve.")


def test_methods_as_good_as_each_other_are_all_named():
    rows = [made("replay", 8), made("recursive", 8, seconds=1.01)]
    assert advice(rows).startswith("for time take replay or recursive (")


def test_a_method_left_out_of_most_cases_is_not_called_the_fastest():
    rows = [made("replay", n, seconds=2.0) for n in (8, 16, 32)] + [made("direct", 8, seconds=1.0)]
    assert advice(rows).startswith("for time take replay")


def test_nothing_measured_is_an_error():
    with pytest.raises(ConfigError, match="no method was measured"):
        advice([made("direct", 8, skipped="needs too much")])


def test_sizes_that_measure_nothing_are_refused():
    with pytest.raises(ConfigError, match="repeats must be at least 1; got 0"):
        Lab(repeats=0)
