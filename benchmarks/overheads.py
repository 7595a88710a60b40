"""Where the time of a solve goes that bare evaluations do not take: readings, buffers, and the control of the steps.

    python benchmarks/overheads.py
    python -m odeembed.results

The first writes benchmarks/results/overheads.json, the second fills the table in docs/performance.md from it. One
problem is solved in every way, once a round in an order drawn anew, and each time is beside that of the same number of
bare evaluations, with their vector-Jacobian products where there is a gradient.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from recording import RESULTS, circumstances, write_result
from workloads.layers import mlp, mlp_params
from workloads.measuring import ratios, time_rounds
from workloads.steps import Counts, Step, bare

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import solve

SIZES = {"W1": (128, 64, 256), "W3": (64, 32, 100)}  # rows, width and hidden width of the workloads
READINGS, ADMITTED = (1, 64), (16, 64)


def ways(size: tuple[int, int, int], gradient: bool) -> dict[str, Step]:
    """Compiled solves by readings and admitted steps, and as many bare evaluations."""
    rows, width, hidden = size
    rng = np.random.default_rng(0)
    params = mlp_params(rng, (width, hidden, width), gain=2.0)
    y0 = jnp.asarray(rng.normal(size=(rows, width)), jnp.float32)
    field = lambda params, t, y, context: mlp(params, y)  # noqa: E731

    def solved(params: Any, y0: Any, readings: int, admitted: int) -> Any:
        config = SolveConfig(
            solver="dopri5", steps=None, rtol=1e-3, atol=1e-3, max_steps=admitted, control="batch"
        )
        return solve(field, params, y0, jnp.linspace(0.0, 1.0, readings + 1), config)

    stats = jax.jit(lambda: solved(params, y0, 1, 64).stats)()
    one = {name: int(count[0]) for name, count in stats.items()}
    counts = Counts(one["evaluations"], one["evaluations"], one["accepted"], one["rejected"])
    last: dict[str, Any] = {
        f"{readings} reading{'s' * (readings > 1)}, {admitted} steps": lambda params, y0, r=readings, a=admitted: (
            solved(params, y0, r, a).ys
        )
        for readings, admitted in itertools.product(READINGS, ADMITTED)
    }
    last["bare"] = lambda params, y0: bare(field, params, y0, counts, recompute=True)
    steps = {}
    for name, states in last.items():
        loss = lambda params, y0, states=states: jnp.sum(jnp.square(states(params, y0)))  # noqa: E731
        compiled = jax.jit(jax.grad(loss, (0, 1)) if gradient else loss).lower(params, y0).compile()
        run = lambda compiled=compiled: jax.block_until_ready(compiled(params, y0))  # noqa: E731
        run()
        steps[name] = Step("odeembed", run, lambda: None, (0.0, 0.0), counts, 0.0, None)
    return steps


def measure(rounds: int) -> list[dict[str, Any]]:
    """A row for each way of each problem: milliseconds, and the ratio to bare evaluations in the same round."""
    found = []
    for (workload, size), gradient in itertools.product(SIZES.items(), (False, True)):
        timed = time_rounds(ways(size, gradient), rounds, np.random.default_rng(0))
        for name, measured in timed.items():
            found.append(
                {
                    "workload": workload,
                    "gradient": gradient,
                    "way": name,
                    "evaluations": measured.step.counts.evaluations,
                    "milliseconds": 1e3 * float(np.median(measured.seconds)),
                    "over_bare": float(np.median(ratios(measured, timed["bare"]))),
                }
            )
            print(f"{workload}, gradient {gradient}, {name}: {found[-1]['milliseconds']:.2f} ms", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description="Measure what a solve takes beyond its evaluations.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = measure(options.rounds)
    facts = circumstances("jax", "jaxlib", "numpy")
    result = {"kind": "overheads", "rounds": options.rounds, **facts, "rows": rows}
    print(write_result(options.results / "overheads.json", result))


if __name__ == "__main__":
    main()
