"""How fast batches are read, beside how fast a training step takes them, and by one process and several.

    python benchmarks/reading.py && python -m odeembed.results

The first writes benchmarks/results/reading.json, the second fills the table of docs/devices.md from it. Corpora are
looked for in $ODEEMBED_DATA. Each process reads its share of every batch, as each of several hosts does; entries are
tokens, images or times, those that fill up not counted.
"""

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recording import RESULTS, circumstances, write_result

CONFIGS = ("wikitext2_jump", "ptb_jump", "multi30k_jump", "physionet_odernn", "mnist_odenet")
STEPS = 5  # of training, after the first


def reading(
    config: str, size: str, batches: int, shard: int, shards: int, gate: Any = None
) -> tuple[int, float]:
    """Entries that a process reads of its share of so many batches, and the seconds it takes.

    Args:
      config: whose data.
      size: of it.
      batches: how many are read.
      shard: which process it is; shards: of how many.
      gate: a barrier; all processes begin when all have opened the data.
    """
    from odeembed.data.buckets import Share
    from odeembed.experiment import load_config

    data: Any = load_config(config, size).data
    dataset = data.open(0, share=Share(shard, shards))
    dataset.batch(0)
    if gate is not None:
        gate.wait()
    begin = time.perf_counter()
    count = sum(entries(dataset.batch(step)) for step in range(batches))
    return count, time.perf_counter() - begin


def entries(batch: Any) -> int:
    """The real ones of a batch."""
    return int((np.asarray(batch.mask) & (np.asarray(batch.index) >= 0)[:, None]).sum())


def together(config: str, size: str, batches: int, shards: int) -> float:
    """Entries a second of so many processes side by side."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        gate = manager.Barrier(shards)
        with context.Pool(shards) as pool:
            found = pool.starmap(
                reading,
                [(config, size, batches, shard, shards, gate) for shard in range(shards)],
                chunksize=1,
            )
    return sum(count for count, _ in found) / max(seconds for _, seconds in found)


def training(config: str, size: str) -> float:
    """Entries a second of compiled training steps, on all that jax has here."""
    import jax

    from odeembed.experiment import load_config
    from odeembed.train.parallel import make_parallel
    from odeembed.train.state import init_state
    from odeembed.train.step import make_step

    experiment: Any = load_config(config, size)
    dataset = experiment.data.open(0)
    model = dataset.specialise(experiment.model)
    batches = {batch.mask.shape: batch for batch in map(dataset.batch, range(20))}
    batch = batches[max(batches)]
    optimizer = experiment.optimizer.build(experiment.steps)
    layout = make_parallel("jit")
    state = init_state(model, experiment.objective, optimizer, batch, 0, experiment.ema)
    step = layout.map(make_step(model, experiment.objective, optimizer, ema=experiment.ema), state)
    state = jax.block_until_ready(step(state, batch))
    begin = time.perf_counter()
    for _ in range(STEPS):
        state = step(state, batch)
    jax.block_until_ready(state)
    return STEPS * entries(batch) / (time.perf_counter() - begin)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all and writes the result."""
    parser = argparse.ArgumentParser(description="Time reading beside training.")
    parser.add_argument("--configs", nargs="+", default=CONFIGS)
    parser.add_argument("--size", default="small")
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = []
    for config in options.configs:
        own, seconds = reading(config, options.size, options.batches, 0, 1)
        row = {
            "config": f"{config}, {options.size}",
            "read": own / seconds,
            "trained": training(config, options.size),
            "processes": {
                str(count): together(config, options.size, options.batches, count)
                for count in options.processes
            },
        }
        rows.append(row)
        print(row, flush=True)
    result = {"kind": "reading", "cores": os.cpu_count(), **circumstances("jax", "numpy"), "rows": rows}
    print(write_result(options.results / "reading.json", result))


if __name__ == "__main__":
    main()
