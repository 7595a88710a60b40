"""What the overheads are measured on is the same work, and becomes a table."""

import json

import numpy as np
from overheads import ways
from recording import write_result

from odeembed.results import tables


def test_every_way_takes_the_same_evaluations_and_runs():
    steps = ways((2, 3, 4), gradient=True)
    assert set(steps) == {
        "bare",
        *(f"{n}, {m} steps" for n in ("1 reading", "64 readings") for m in (16, 64)),
    }
    assert len({step.counts for step in steps.values()}) == 1
    by_params, _ = steps["64 readings, 16 steps"].run()
    again, _ = steps["64 readings, 64 steps"].run()
    np.testing.assert_allclose(by_params["w0"], again["w0"], rtol=1e-5)


def test_the_table_has_both_directions_side_by_side(tmp_path):
    row = {"workload": "W3", "way": "bare", "evaluations": 20.0, "milliseconds": 1.5, "over_bare": 1.0}
    rows = [row | {"gradient": gradient} for gradient in (False, True)]
    write_result(tmp_path / "benchmarks" / "results" / "overheads.json", {"kind": "overheads", "rows": rows})
    assert json.loads((tmp_path / "benchmarks/results/overheads.json").read_text())["rows"]
    found = tables(tmp_path)["overheads"].splitlines()
    assert found[2] == "| W3 | bare | 20 | 1.50 | 1.00 | 1.50 | 1.00 |"
