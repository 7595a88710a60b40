"""W1: a multilayer perceptron 64-256-64 as field; steps of one size, and steps row by row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from odeembed.solve.config import SolveConfig
from workloads.layers import mlp, mlp_params, torch_mlp
from workloads.measuring import Build, Case, Comparison, Measured, against_peers_and_limit, ratios
from workloads.problem import Problem, by_odeembed, variants

ADAPTIVE = SolveConfig(solver="dopri5", steps=None, rtol=1e-3, atol=1e-3, control="batch")
GRID = SolveConfig(solver="rk38", steps=20, control="batch")


def problem(batch: int = 128, width: int = 64, hidden: int = 256, scales: float = 1.0) -> Problem:
    """y from t = 0 to 1, fitted to targets; rows run up to `scales` times as fast, in geometric progression."""
    rng = np.random.default_rng(0)
    data = {
        "y0": rng.normal(size=(batch, width)).astype(np.float32),
        "target": rng.normal(size=(batch, width)).astype(np.float32),
        "scale": np.geomspace(1, scales, batch, dtype=np.float32)[:, None],
        "ts": np.array([0, 1], np.float32),
    }
    scaled = scales != 1
    params = mlp_params(rng, (width, hidden, width), gain=0.5 if scaled else 2.5)
    if scaled:
        # Downhill on a convex function, W_1 = -W_0^T: fast rows come to rest, and errors do not grow with the speed.
        params["w1"] = -params["w0"].T

    def field(params, t, y, context):
        return context * mlp(params, y) if scaled else mlp(params, y)

    def torch_field(params, t, y, data):
        return data["scale"] * torch_mlp(params, y) if scaled else torch_mlp(params, y)

    def loss(params, data, ys):
        return jnp.mean((ys[:, -1] - data["target"]) ** 2)

    return Problem(
        params=params,
        names=tuple(params),
        data=data,
        start=lambda params, data: data["y0"],
        field=field,
        context=lambda data: data["scale"] if scaled else None,
        loss=loss,
        torch_start=lambda params, data: data["y0"],
        torch_field=torch_field,
        torch_loss=lambda params, data, ys: ((ys[:, -1] - data["target"]) ** 2).mean(),
    )


def cases(adjoints: Sequence[str], peers: bool = True) -> Iterator[Case]:
    """Both methods against all; then rows with steps of their own over steps that all rows share."""
    compare = partial(against_peers_and_limit, faster=3.7)
    yield Case("dopri5, 1e-3", variants(problem(), ADAPTIVE, adjoints, peers=peers), compare, 1e-2)
    on_grid = [adjoint for adjoint in adjoints if adjoint != "backsolve"]
    compare = partial(against_peers_and_limit, faster=None, adaptive=False)
    yield Case("rk38, 20 steps", variants(problem(), GRID, on_grid, rows=False, peers=peers), compare, 1e-5)
    for batch in (32, 128, 512):
        target = None if batch == 32 else 1.3
        compare = partial(rows_over_batch, at_most=target)
        yield Case(f"rows, batch {batch}", both_controls(problem(batch), adjoints[0]), compare, 1e-2)
    fast = both_controls(problem(scales=32.0), adjoints[0])
    yield Case("rows, speeds 1 to 32", fast, rows_over_evaluations, 1e-2)


def both_controls(given: Problem, adjoint: str) -> dict[str, Build]:
    """Steps row by row, and of one size for all."""
    controls: dict[str, Any] = {"batch": None, "row": None}
    for control in controls:
        config = replace(ADAPTIVE, control=control, adjoint=adjoint)
        controls[control] = lambda _, c=config: by_odeembed(given, c)
    return controls


def rows_over_batch(measured: Mapping[str, Measured], at_most: float | None) -> list[Comparison]:
    """The time with steps row by row over the time with one size for all."""
    return [Comparison("row over batch", ratios(measured["row"], measured["batch"]), at_most=at_most)]


def rows_over_evaluations(measured: Mapping[str, Measured]) -> list[Comparison]:
    """The same, and over the ratio of the evaluations: what all rows need, and what the slowest one needs."""
    row, batch = measured["row"], measured["batch"]
    time = ratios(row, batch)
    mean = row.step.counts.evaluations / batch.step.counts.evaluations
    most = row.step.counts.most / batch.step.counts.most
    return [
        Comparison("row over batch", time),
        Comparison("row over batch, over the ratio of evaluations", time / mean, at_most=1.2),
        Comparison("row over batch, over the ratio of evaluations of the slowest row", time / most),
    ]
