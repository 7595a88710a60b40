"""A training step of each body on MNIST's shapes, with nothing beside it: what an ODE-Net costs.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/image_steps.py
    python benchmarks/image_steps.py --size full --accelerator
    python -m odeembed.results

The first two write benchmarks/results/image_steps.json and image_steps-accelerator.json, the last fills the tables in
docs/odenet.md from them. Steps are those of the configs (gradient, AdamW, moving average), with untrained parameters
and random images. Every variant is timed once a round, in an order drawn anew, and ratios to the residual network of
one block, of as many parameters, are medians over the rounds. Time is CPU time, on an accelerator the time until it is
done.
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from recording import (
    RESULTS,
    ROOT,
    accelerator,
    circumstances,
    need_accelerator,
    result_file,
    write_result,
)
from workloads.measuring import ratios, time_rounds
from workloads.steps import Counts, Step

from odeembed.batch import Batch
from odeembed.experiment import load_config, replace_nodes
from odeembed.models.image_classifier import ResidualBlocks
from odeembed.solve.config import SolveConfig
from odeembed.train.state import init_state
from odeembed.train.step import make_step

TWIN = "mnist_resnet1"
CONFIGS = (TWIN, "mnist_resnet6", "mnist_euler", "mnist_rknet", "mnist_odenet")


def variants(size: str, rows: int | None, kinds: Sequence[str]) -> dict[str, Any]:
    """The experiments by name; those that choose their steps once for each kind of products."""
    found = {}
    for name in CONFIGS:
        one: Any = load_config(ROOT / "configs" / f"{name}.py", size)
        one = replace(one, data=replace(one.data, rows=rows or one.data.rows))
        if isinstance(one.model.body, ResidualBlocks) or one.model.body.config.steps:
            found[name] = one
            continue
        for kind in kinds:
            found[f"{name}, {kind}"] = replace_nodes(
                one, SolveConfig, lambda config, kind=kind: replace(config, products=kind)
            )
    return found


def compiled(experiment: Any, side: int) -> tuple[Step, int]:
    """One step, run once, and how many parameters there are."""
    rng, rows = np.random.default_rng(0), experiment.data.rows
    batch = Batch(
        rng.normal(size=(rows, side, side, 1)).astype(np.float32),
        np.zeros((rows, 1), np.float32),
        np.ones((rows, 1), bool),
        np.arange(rows),
        target=rng.integers(0, 10, rows).astype(np.int32),
    )
    model, objective = experiment.model, experiment.objective
    optimizer = experiment.optimizer.build(experiment.steps)
    state = init_state(model, objective, optimizer, batch, 0, experiment.ema)
    step = make_step(
        model, objective, optimizer, ema=experiment.ema, products=experiment.products, log_every=1
    )
    state, batch = jax.device_put((state, batch))
    program = jax.jit(step).lower(state, batch).compile()
    run = lambda: jax.block_until_ready(program(state, batch))  # noqa: E731
    means = jax.device_get(run().means)
    loss = float(means["loss"].total / means["loss"].count)
    solved = means.get("solver/evaluations")
    count = 0.0 if solved is None else float(solved.total / solved.count)
    memory: Any = program.memory_analysis()
    counts = Counts(count, count)
    found = Step("odeembed", run, lambda: None, (loss, loss), counts, None, int(memory.temp_size_in_bytes))
    return found, sum(leaf.size for leaf in jax.tree.leaves(state.params))


def measure(experiments: dict[str, Any], rounds: int, side: int = 28) -> list[dict[str, Any]]:
    """A row for each: milliseconds of a step, its ratio to that of the twin, evaluations forward and memory."""
    threads = 1 if accelerator() is None else os.cpu_count()
    with ThreadPoolExecutor(threads) as pool:
        built = dict(
            zip(experiments, pool.map(lambda one: compiled(one, side), experiments.values()), strict=True)
        )
    clock = time.process_time if accelerator() is None else time.perf_counter
    steps = {name: step for name, (step, _) in built.items()}
    timed = time_rounds(steps, rounds, np.random.default_rng(0), clock)
    rows = []
    for name, found in timed.items():
        low, middle, high = np.quantile(ratios(found, timed[TWIN]), (0.25, 0.5, 0.75))
        rows.append(
            {
                "variant": name,
                "parameters": built[name][1],
                "rows": experiments[name].data.rows,
                "milliseconds": 1e3 * found.median,
                "over_twin": float(middle),
                "low": float(low),
                "high": float(high),
                "evaluations": found.step.counts.evaluations,
                "temporary_bytes": found.step.temporary_bytes,
                "loss": found.step.losses[0],
            }
        )
        print(rows[-1], flush=True)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description="Time training steps of image classifiers.")
    parser.add_argument("--size", default="small")
    parser.add_argument("--rows", type=int, help="images of a step (default: the config's)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--accelerator", action="store_true", help="ends in an error where there is none")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.accelerator:
        need_accelerator()
    kinds = ("float32",) if accelerator() is None else ("float32", "tensorfloat32", "bfloat16")
    rows = measure(variants(options.size, options.rows, kinds), options.rounds)
    facts = circumstances("jax", "jaxlib", "numpy")
    result = {
        "kind": "image_steps",
        "size": options.size,
        "rounds": options.rounds,
        **facts,
        "measured": rows,
    }
    print(write_result(result_file(options.results, "image_steps"), result))


if __name__ == "__main__":
    main()
