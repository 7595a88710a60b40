"""What the gradient of an ODE-Net's body keeps: temporary memory over the evaluations of its field, for each method.

    python benchmarks/image_memory.py
    python -m odeembed.results

The first writes benchmarks/results/image_memory.json and docs/odenet_memory.png, the second fills the table in
docs/odenet.md. Programs are compiled and not run: the memory is what XLA reserves for temporaries. The state is that of
128 images after the stem, 6 x 6 with 64 channels, and the steps are Euler's; `reversible` takes two evaluations a step.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import jax
import jax.numpy as jnp
from recording import RESULTS, ROOT, circumstances, write_result

from odeembed.fields.convolution import ConvField
from odeembed.models.image_classifier import ODEBlock
from odeembed.plots.effort import memory_over_evaluations
from odeembed.plots.figure import save
from odeembed.solve.config import Adjoint, SolveConfig


def temporary_bytes(method: Adjoint, evaluations: int, rows: int, channels: int) -> int:
    """Of the gradient by the field's parameters and the state at the start."""
    steps = evaluations // 2 if method == "reversible" else evaluations
    body = ODEBlock(ConvField(), SolveConfig(solver="euler", steps=steps, adjoint=method))
    y = jax.ShapeDtypeStruct((rows, 6, 6, channels), jnp.float32)
    params = jax.eval_shape(body.init, jax.random.key(0), y)

    def loss(params: Any, y: Any) -> Any:
        return jnp.sum(jnp.square(body.apply(params, y)[0]))  # pyright: ignore[reportIndexIssue]

    memory: Any = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(params, y).compile().memory_analysis()
    return int(memory.temp_size_in_bytes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes the result and draws it."""
    parser = argparse.ArgumentParser(description="Measure the memory of an ODE-Net's gradients.")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[8, 32, 128, 512])
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "odenet_memory.png")
    options = parser.parse_args(arguments)
    rows = []
    for method in get_args(Adjoint):
        for evaluations in options.evaluations:
            found = temporary_bytes(method, evaluations, options.rows, options.channels)
            rows.append({"method": method, "evaluations": evaluations, "bytes": found})
            print(rows[-1], flush=True)
    sizes = {"rows": options.rows, "channels": options.channels}
    device = {"device": jax.devices()[0].device_kind}
    result = {
        "kind": "image_memory",
        "sizes": sizes,
        **device,
        **circumstances("jax", "jaxlib"),
        "measured": rows,
    }
    print(write_result(options.results / "image_memory.json", result))
    text = "Temporary memory of an ODE-Net's gradient over the evaluations of its field, by gradient method."
    print(save(memory_over_evaluations(rows), options.figure, text))


if __name__ == "__main__":
    main()
