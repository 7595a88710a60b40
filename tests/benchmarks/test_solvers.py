"""The timings of solvers: every variant computes the same, ratios are paired, and results become tables."""

import importlib.util
import json
import time

import jax
import numpy as np
import pytest
import solvers
from recording import write_result
from workloads import flow, gru, image, latent, mlp
from workloads.measuring import (
    Case,
    Comparison,
    LossesDisagree,
    Measured,
    against_peers_and_limit,
    build,
    loss_difference,
    measure,
    ratios,
    time_rounds,
)
from workloads.problem import by_odeembed, variants
from workloads.steps import Counts, Step, bare

from odeembed.results import tables
from odeembed.solve.config import SolveConfig

TORCH = importlib.util.find_spec("torch") and importlib.util.find_spec("torchode")
needs_torch = pytest.mark.skipif(not TORCH, reason="needs pip install -r benchmarks/requirements.txt")
PROBLEMS = {
    "mlp": lambda: mlp.problem(batch=3, width=4, hidden=8),
    "speeds": lambda: mlp.problem(batch=3, width=4, hidden=8, scales=4.0),
    "latent": lambda: latent.problem(batch=2, times=5, width=4, hidden=8),
    "exact trace": lambda: flow.problem(True, batch=3, hidden=8),
    "Hutchinson": lambda: flow.problem(False, batch=3, hidden=8),
    "image": lambda: image.problem(batch=2, channels=4),
}
GRID = SolveConfig(solver="rk38", steps=16, control="batch")
EXACT = SolveConfig(solver="dopri5", steps=None, rtol=1e-5, atol=1e-5, max_steps=64, control="batch")
TOLERANCE = 1e-4  # ten times that of the steps chosen by their error; those of the grid err less


def make_step(library="odeembed", losses=(1.0, 0.5), counts=None, run=lambda: None, seconds=1.0):
    return Step(library, run, lambda: None, losses, counts or Counts(7, 7, 1, 0), seconds, 2**20)


def make_measured(*seconds, library="odeembed", counts=None, first=1.0):
    return Measured(make_step(library, counts=counts, seconds=first), np.array(seconds))


def test_diffrax_has_the_same_loss():
    made = variants(PROBLEMS["exact trace"](), GRID, ["recursive"], rows=False, peers=False)
    ours = made["odeembed, batch, recursive"]({})
    assert loss_difference(made["diffrax"]({}), ours) < TOLERANCE
    assert ours.losses[1] != ours.losses[0]
    assert ours.counts == Counts(64, 64, 16, 0)


# The others are compared when they are measured: what disagrees is not timed.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "Hutchinson"])
def test_rows_with_steps_of_their_own_have_the_same_loss(name):
    made = variants(PROBLEMS[name](), EXACT, ["recursive"], peers=False)
    ours = made["odeembed, batch, recursive"]({})
    for other in ("odeembed, row, recursive", "diffrax", "diffrax, vmap"):
        assert loss_difference(made[other]({}), ours) < TOLERANCE


@needs_torch
@pytest.mark.parametrize("name", PROBLEMS)
def test_torch_has_the_same_loss(name):
    problem = PROBLEMS[name]()
    on_grid = variants(problem, GRID, ["recursive"], rows=False)
    ours = on_grid["odeembed, batch, recursive"]({})
    for step in (on_grid["torchdiffeq"]({}), variants(problem, EXACT, ["recursive"])["torchode"]({})):
        assert loss_difference(step, ours) < TOLERANCE
        assert step.counts.evaluations > 6
        assert step.run() == pytest.approx(step.losses[0]), "the first run was put back to the start"
        step.reset()


def test_a_gru_flow_has_the_loss_of_its_peers():
    given = gru.sentences(batch=2, length=8, vocabulary=20, embedding=4, hidden=8)
    made = gru.variants(given, gru.GRID, ["recursive"], peers=bool(TORCH))
    ours = made["odeembed, batch, recursive"]({})
    assert ours.counts == Counts(28, 28, 14, 0)
    for peer in ("diffrax", "torchdiffeq")[: 2 if TORCH else 1]:
        assert loss_difference(made[peer]({}), ours) < TOLERANCE, peer


def test_the_limit_evaluates_as_often_as_the_solve():
    counts = Counts(8, 8, 3, 1)

    def moved(y):
        return bare(lambda params, t, y, context: params * y, 1.0, y, counts, recompute=False)

    # One step of four was rejected: two evaluations elsewhere, and six from the start, each by an eighth of dy/dt.
    y0 = np.ones((1, 1), np.float32)
    np.testing.assert_allclose(moved(y0), (1 + 1 / 8) ** 6, rtol=1e-6)
    scans = [step for step in jax.make_jaxpr(moved)(y0).eqns if step.primitive.name == "scan"]
    assert [scan.params["length"] for scan in scans] == [2, 6]


def test_losses_that_disagree_are_refused():
    first, second = make_step(losses=(1.0, 0.5)), make_step(losses=(1.0, 0.6))
    assert loss_difference(second, first) == pytest.approx(0.2)
    assert loss_difference(make_step(losses=(1.0, float("nan"))), first) == np.inf
    case = Case("two", {"a": lambda _: first, "b": lambda _: second}, lambda _: [], 0.1)
    with pytest.raises(LossesDisagree, match=r"two.*b \(1\.0, 0\.6\)"):
        measure(case, 1, say=lambda line: None)


def test_rounds_are_paired_and_shuffled():
    now, order = [0.0], []

    def advance(name, seconds):
        order.append(name)
        now[0] += seconds

    steps = {
        "slow": make_step(run=lambda: advance("slow", 0.3)),
        "fast": make_step(run=lambda: advance("fast", 0.1)),
    }
    found = time_rounds(steps, 8, np.random.default_rng(0), clock=lambda: now[0])
    np.testing.assert_allclose(ratios(found["slow"], found["fast"]), np.full(8, 3.0))
    firsts = order[2::2]  # after one run of each to see how long it takes
    assert set(firsts) == {"slow", "fast"}
    assert sorted(order[2:]) == ["fast"] * 8 + ["slow"] * 8


def test_a_ratio_is_the_median_of_paired_ratios_with_quartiles():
    slow, fast = make_measured(2.0, 9.0, 6.0, 8.0, 50.0), make_measured(1.0, 3.0, 3.0, 2.0, 10.0)
    found = Comparison("slow over fast", ratios(slow, fast), at_most=2.4).to_json()
    assert (found["low"], found["ratio"], found["high"]) == (2.0, 3.0, 4.0)  # of 2, 3, 2, 4, 5
    assert not found["met"]
    assert found["missed_by"] == pytest.approx(0.25)
    assert Comparison("", [3.0], at_least=3.0).to_json()["met"]
    assert Comparison("", [3.0], at_least=4.0).to_json()["missed_by"] == pytest.approx(0.25)
    assert "met" not in Comparison("", [3.0]).to_json()


def test_targets_are_against_the_fastest_peer_and_the_faster_limit():
    measured = {
        "ours": make_measured(1.0, 1.0, counts=Counts(30, 30, 5, 0), first=1.0),
        "diffrax": make_measured(2.0, 2.0, library="diffrax", first=4.0),
        "torchdiffeq": make_measured(4.0, 4.0, library="torchdiffeq", counts=Counts(20, 20)),
        "torchode": make_measured(5.0, 5.0, library="torchode"),
        "limit, stored": make_measured(2.0, 2.0, library="limit"),
        "limit, recomputed": make_measured(0.5, 0.5, library="limit"),
    }
    found = {k.what: k.to_json() for k in against_peers_and_limit(measured, 3.7)}
    assert found["ours over the limit"]["ratio"] == 2.0
    assert found["ours over the limit"]["target"] == {"at_most": 1.10}
    assert found["torchdiffeq over ours"] | {"met": True} == found["torchdiffeq over ours"]
    assert found["torchdiffeq over ours, an evaluation"]["ratio"] == 6.0
    assert found["ours over diffrax, time to the first step"]["ratio"] == 0.25
    long = {"ours": make_measured(1.0, counts=Counts(600, 600, 100, 0))} | measured
    long["ours"] = make_measured(1.0, 1.0, counts=Counts(600, 600, 100, 0))
    assert against_peers_and_limit(long, None)[0].at_most == 1.35
    assert against_peers_and_limit(long, None, adaptive=False)[0].at_most == 1.0


def test_rows_at_speeds_of_their_own_are_weighed_by_their_evaluations():
    measured = {
        "batch": make_measured(1.0, 1.0, counts=Counts(100, 100)),
        "row": make_measured(0.6, 0.6, counts=Counts(50, 120)),
    }
    time, weighed, slowest = mlp.rows_over_evaluations(measured)
    assert (time.ratios[0], weighed.ratios[0]) == pytest.approx((0.6, 1.2))
    assert slowest.ratios[0] == pytest.approx(0.5)


def test_variants_that_are_built_side_by_side_are_those_of_their_case():
    counts = Counts(20, 20, 3, 0)
    asked = []

    def limit(steps):
        asked.append(next(iter(steps.values())).counts)
        return make_step("limit")

    made = {
        "ours": lambda _: make_step(counts=counts),
        "torchode": lambda _: make_step("torchode", counts=counts),
        "limit, stored": limit,
    }
    cases = [Case("one", made, lambda m: against_peers_and_limit(m, 2.0), 1e-3)] * 2
    built = build(cases, 2, say=lambda line: None)
    assert [list(steps) for steps in built] == [list(made)] * 2
    assert asked == [counts] * 2
    ticks = iter(range(1000))
    found = measure(cases[0], 2, steps=built[0], clock=lambda: float(next(ticks)))
    assert [variant["seconds"] for variant in found["variants"]] == [1.0] * 3
    assert all(variant["first_seconds"] is None for variant in found["variants"])
    assert [comparison["ratio"] for comparison in found["comparisons"]] == [1.0] * 4


def test_a_cpu_is_not_timed_as_an_accelerator():
    with pytest.raises(SystemExit, match="no accelerator here"):
        solvers.main(solvers.parser().parse_args(["--accelerator", "--without-torch"]))


def test_a_result_becomes_tables(tmp_path):
    problem = mlp.problem(batch=2, width=3, hidden=4)
    made = {"odeembed": lambda _: by_odeembed(problem, GRID)}
    compared = [
        Comparison("one over one", [1.0], at_most=0.8),
        Comparison("odeembed, batch, replay over the limit", [1.5]),
        Comparison("torchode over odeembed, batch, replay", [2.5]),
        Comparison("torchode over odeembed, batch, replay, an evaluation", [3.5]),
        Comparison("diffrax over odeembed, batch, replay", [4.5]),
        Comparison("odeembed, batch, replay over diffrax, time to the first step", [5.5]),
    ]
    case = Case("tiny", made, lambda m: compared, 1e-3)
    result = {
        "kind": "solvers",
        "workload": "W1",
        "about": "W1: tiny, and more.",
        "rounds": 2,
        "one_core": True,
        "commit": "0" * 40,
        "clean": True,
        "versions": {"jax": "0.10.2"},
        "machine": "x86_64",
        "processor": "a processor",
        "cases": [measure(case, 2, say=lambda line: None)],
    }
    write_result(tmp_path / "benchmarks" / "results" / "solvers-w1.json", result)
    assert json.loads(json.dumps(result)) == result
    found = tables(tmp_path)
    assert set(found) == {"solvers-w1", "solver-ratios", "solver-speeds", "solver-circumstances"}
    assert "| tiny | odeembed |" in found["solvers-w1"]
    assert "| W1 | tiny | one over one | 1.00 | at most 0.80 | missed by 25% |" in found["solver-ratios"]
    assert "| W1 | a processor | one | 2 | jax 0.10.2 | 0000000000 |" in found["solver-circumstances"]
    there = result | {"accelerator": "a GPU", "one_core": False, "commit": None}
    there = there | {"cases": [measure(case, 2, steps=build([case], 1, print)[0], clock=time.perf_counter)]}
    write_result(tmp_path / "benchmarks" / "results" / "solvers-w1-accelerator.json", there)
    both = tables(tmp_path)
    assert {name: both[name] for name in found if name != "solver-speeds"} == {
        name: table for name, table in found.items() if name != "solver-speeds"
    }
    head, _, row = both["solver-speeds"].splitlines()
    assert head.split(" | ")[2:4] == ["torch, one core of a processor", "diffrax, one core of a processor"]
    assert row == "| W1: tiny | tiny | 2.50 | 4.50 | 2.50 | 4.50 |"
    assert "| case | variant | evaluations | time of a step, ms | temporary" in both["solvers-w1-accelerator"]
    assert "| W1 | a GPU | any | 2 | jax 0.10.2 | unknown |" in both["solver-circumstances-accelerator"]
