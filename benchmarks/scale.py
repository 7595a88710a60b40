"""A training step on many devices, read from its program: what they exchange, what they hold, how long it takes.

    python benchmarks/scale.py
    python -m odeembed.results

The first writes benchmarks/results/scale.json, the second fills the tables in docs/devices.md. Nothing is run: for each
number of devices the step is compiled for as many forced CPU devices, with the batch of the config's full size on each
of them. Exchanges and memory are those of that program. The predicted time is arithmetic from published rates: products
at a share of the accelerator's peak, and a ring all-reduce over its links, one after the other.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collectives import collectives, product_flops
from recording import RESULTS, ROOT, circumstances, write_result

VOCABULARY = 32_768
# Peak bfloat16 products a second, memory in bytes, and bytes a second to a neighbour in one direction of a ring.
ACCELERATORS = {
    "TPU v5e": {
        "flops": 197e12,
        "memory": 16 * 2**30,
        "link": 45e9,
        "source": "Austin et al. 2025, How to Scale Your Model, part 2",
    },
    "H100 SXM": {"flops": 989e12, "memory": 80 * 2**30, "link": 450e9, "source": "NVIDIA, H100 data sheet"},
}
SHARE = 0.1  # of the peak: an assumption


def measured(config: str, devices: int, mode: str, fsdp: int) -> dict[str, Any]:
    """The facts of one program, in a process that has so many devices."""
    command = [sys.executable, __file__, "--one", config, "--mode", mode, "--fsdp", str(fsdp)]
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compiled(config: str, mode: str, fsdp: int) -> dict[str, Any]:
    """Compiles the step of a config's full size for the devices of this process."""
    import jax
    import numpy as np

    from odeembed.batch import Batch
    from odeembed.experiment import load_config
    from odeembed.train.parallel import make_parallel
    from odeembed.train.state import init_state
    from odeembed.train.step import make_step

    experiment: Any = load_config(config, "full")
    model = experiment.model.clone(vocab_size=VOCABULARY)
    optimizer = experiment.optimizer.build(experiment.steps)
    length = experiment.data.buckets[-1]
    own = experiment.data.rows(length)

    def batch(rows: int) -> Batch:
        def of(dtype: Any, *more: int) -> Any:
            return jax.ShapeDtypeStruct((rows, *more), dtype)

        found = Batch(of(np.int32, length), of(np.float32, length), of(bool, length), of(np.int32))
        return found._replace(target=found) if experiment.data.unit == "pair" else found

    layout = make_parallel(mode, fsdp=fsdp)
    arguments = (model, experiment.objective, optimizer, batch(own), 0, experiment.ema)
    state = jax.eval_shape(lambda b: init_state(*arguments[:3], b, 0, experiment.ema), batch(own))
    spread = {"spread": layout.spread, "gather": layout.gather}
    step = make_step(model, experiment.objective, optimizer, ema=experiment.ema, **spread)
    program: Any = layout.map(step, state).lower(state, batch(own * layout.mesh.size)).compile()
    memory, exchanged = program.memory_analysis(), collectives(program.as_text())
    alone = make_step(model, experiment.objective, optimizer, ema=experiment.ema)
    return {
        "config": Path(config).stem,
        "devices": layout.mesh.size,
        "mode": mode,
        "fsdp": fsdp,
        "rows": own,
        "length": length,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "collectives": len(exchanged),
        "looped": sum(one.looped for one in exchanged),
        "kinds": sorted({one.kind for one in exchanged}),
        "exchanged_bytes": sum(one.bytes for one in exchanged),
        "memory_bytes": memory.argument_size_in_bytes + memory.temp_size_in_bytes,
        "flops": product_flops(alone, state, batch(own)),
    }


def predicted(row: dict[str, Any], accelerator: dict[str, Any]) -> dict[str, float]:
    """Seconds of a step: products, then what a ring sends, 2 (n - 1) / n of all bytes."""
    n = row["devices"]
    computing = row["flops"] / (SHARE * accelerator["flops"])
    sending = 2 * (n - 1) / n * row["exchanged_bytes"] / accelerator["link"]
    return {"computing": computing, "sending": sending, "efficiency": computing / (computing + sending)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Compiles all and writes the result."""
    parser = argparse.ArgumentParser(description="Read a step's exchanges and memory from its program.")
    parser.add_argument("--configs", nargs="+", default=["wikitext2_jump", "ptb_jump"])
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 64, 256, 2048])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="jit", help=argparse.SUPPRESS)
    parser.add_argument("--fsdp", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(compiled(options.one, options.mode, options.fsdp)))
        return
    rows = []
    for config in options.configs:
        for devices in options.counts:
            for mode, fsdp in (("jit", 1), ("shard_map", 1), ("shard_map", 8)):
                row = measured(str(ROOT / "configs" / f"{config}.py"), devices, mode, fsdp)
                row["predicted"] = {name: predicted(row, one) for name, one in ACCELERATORS.items()}
                rows.append(row)
                print(
                    {name: row[name] for name in ("config", "devices", "mode", "fsdp", "collectives")},
                    flush=True,
                )
    result = {
        "kind": "scale",
        "vocabulary": VOCABULARY,
        "share_of_peak": SHARE,
        "accelerators": ACCELERATORS,
        **circumstances("jax", "jaxlib"),
        "measured": rows,
    }
    print(write_result(options.results / "scale.json", result))


if __name__ == "__main__":
    main()
