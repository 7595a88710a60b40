"""What rounded products cost a solve: its steps and evaluations at each tolerance, and the error that is left.

    python benchmarks/precision.py
    python -m odeembed.results

The first writes benchmarks/results/precision.json, the second fills the table in docs/performance.md from it. On an
accelerator products in tensorfloat32 are tried too, and the result is benchmarks/results/precision-accelerator.json.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from recording import RESULTS, accelerator, circumstances, result_file, write_result
from workloads.gru import sentences
from workloads.layers import mlp_params

from odeembed.fields.gru import GRUField
from odeembed.fields.mlp import MLPField
from odeembed.models.encoders import GRUJump
from odeembed.precision import Products
from odeembed.solve.config import Solution, SolveConfig
from odeembed.solve.solve import Jumps, solve

ADAPTIVE = [
    SolveConfig(solver="dopri5", steps=None, rtol=tolerance, atol=tolerance, max_steps=4096)
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5)
]
GRID = SolveConfig(solver="midpoint", steps=4)
TRUTH = SolveConfig(solver="dopri8", steps=None, rtol=1e-10, atol=1e-10, max_steps=4096)


@dataclass(frozen=True)
class Flow:
    """A path, and what is needed to solve it.

    Attributes:
      name: of its field, in words.
      field: a linen field.
      params: of the field, and of the jumps where there are any.
      y0: [b, d].
      ts: [n].
      inputs: [b, n, 3 d], what a GRU jump at every time is given; None without jumps.
    """

    name: str
    field: nn.Module
    params: dict[str, Any]
    y0: np.ndarray
    ts: np.ndarray
    inputs: np.ndarray | None = None


def perceptron(batch: int = 64, width: int = 64, hidden: int = 256) -> Flow:
    """W1: a perceptron from t = 0 to 1."""
    rng = np.random.default_rng(0)
    y0 = rng.normal(size=(batch, width)).astype(np.float32)
    params = mlp_params(rng, (width, hidden, width), gain=2.5)
    layers = {f"Dense_{i}": {"kernel": params[f"w{i}"], "bias": params[f"b{i}"]} for i in range(2)}
    field = MLPField(hidden=(hidden,))
    return Flow(
        f"perceptron {width}-{hidden}-{width}", field, {"field": layers}, y0, np.array([0, 1], np.float32)
    )


def gru_ode(batch: int = 16, length: int = 16, hidden: int = 128) -> Flow:
    """W2, smaller: a GRU-ODE from token to token, with a GRU jump at each."""
    given = sentences(batch, length, vocabulary=100, embedding=hidden, hidden=hidden)
    params = given.params
    layers = {
        name: {"kernel": params[name], "bias": params[f"{name}_bias"]} for name in ("gates", "candidate")
    }
    return Flow(
        f"GRU-ODE {hidden}, {length} jumps",
        GRUField(),
        {"field": layers, "jump": {"recurrent": {"kernel": params["recurrent"]}}},
        np.zeros((batch, hidden), np.float32),
        given.data["ts"],
        params["embedding"][given.data["tokens"]] @ params["input"],
    )


def solved(flow: Flow, config: SolveConfig) -> Solution:
    """The path by one config, in the precision of float64 where jax has it."""

    def field(params, t, y, context):
        return flow.field.apply({"params": params["field"]}, t, y)

    def jump(params, t, y, x):
        return GRUJump().apply({"params": params["jump"]}, t, y, x)

    def run(params, y0, ts, inputs):
        at = jnp.ones((len(y0), len(ts)), bool)
        jumps = None if inputs is None else Jumps(jump, inputs, at)
        return solve(field, params, y0, ts, config, jumps=jumps)

    real = jnp.result_type(float)
    arrays = jax.tree.map(lambda x: jnp.asarray(x, real), (flow.params, flow.y0, flow.ts, flow.inputs))
    return jax.device_get(jax.jit(run)(*arrays))


def measure(flow: Flow, configs: Sequence[SolveConfig]) -> list[dict[str, Any]]:
    """Counts and the relative error of all states, for each config with products of every kind."""
    kinds = [kind for kind in get_args(Products) if kind != "tensorfloat32" or accelerator()]
    with jax.enable_x64(True):
        truth = solved(flow, TRUTH)
    rows = []
    for config in configs:
        for kind in kinds:
            found = solved(flow, replace(config, products=kind))
            off = found.ys.astype(np.float64) - truth.ys
            count = found.stats
            rows.append(
                {
                    "field": flow.name,
                    "solver": config.solver,
                    "steps": config.steps,
                    "rtol": None if config.steps else config.rtol,
                    "products": kind,
                    "evaluations": float(count["evaluations"].mean()),
                    "most_evaluations": int(count["evaluations"].max()),
                    "accepted": float(count["accepted"].mean()),
                    "rejected": float(count["rejected"].mean()),
                    "failed": int(found.failed.sum()) + int(truth.failed.sum()),
                    "error": float(np.sqrt((off**2).mean() / (truth.ys**2).mean())),
                }
            )
            print(rows[-1], flush=True)
    return rows


def main(arguments: argparse.Namespace) -> None:
    """Measures both paths, and writes the result."""
    rows = [row for flow in (perceptron(), gru_ode()) for row in measure(flow, [GRID, *ADAPTIVE])]
    result = {"kind": "precision", **circumstances("jax", "jaxlib", "flax", "numpy"), "rows": rows}
    print(write_result(result_file(arguments.results, "precision"), result))


def parser() -> argparse.ArgumentParser:
    """The options."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--results", type=Path, default=RESULTS)
    return top


if __name__ == "__main__":
    main(parser().parse_args())
