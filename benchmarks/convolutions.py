"""Which form of a 3 x 3 convolution is fast inside a loop, with its gradient: lax's own, patches, products, ours.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/convolutions.py
    python -m odeembed.results

The first writes benchmarks/results/convolutions.json, the second fills the table in docs/odenet.md from it. Each form
is asked six times, once by a loop whose body is computed again for the gradient, as a solver's steps are, and once by
six operations in a row; once a round in an order drawn anew. Ratios are to ours in the same round.
"""

import argparse
import functools
import itertools
import operator
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from recording import RESULTS, accelerator, circumstances, result_file, write_result
from workloads.measuring import ratios, time_rounds
from workloads.steps import Counts, Step

from odeembed.fields.convolution import convolve

EVALUATIONS = 6
SIZES = (6, 7)  # sides of the state at the end of the stem, of 28 x 28 and of 32 x 32 pixels


def by_lax(x: Any, kernel: Any) -> Any:
    """XLA's convolution with its own gradients."""
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def by_patches(x: Any, kernel: Any) -> Any:
    """Each place's nine neighbours side by side, times the kernel as one matrix."""
    return jnp.concatenate(_shifted(x), axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def by_products(x: Any, kernel: Any) -> Any:
    """The sum of nine products of shifted images and matrices."""
    shifted = zip(_shifted(x), kernel.reshape(9, *kernel.shape[2:]), strict=True)
    return functools.reduce(operator.add, (image @ matrix for image, matrix in shifted))


FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "lax.conv": by_lax,
    "patches": by_patches,
    "nine products": by_products,
    "ours": convolve,
}


def forms(rows: int, side: int, channels: int, looped: bool, gradient: bool) -> dict[str, Step]:
    """Every form compiled; their outputs are the same."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(rows, side, side, channels)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, channels, channels)), jnp.float32) / (3 * channels**0.5)
    steps = {}
    for name, form in FORMS.items():

        def body(y: Any, kernel: Any, form: Callable[[Any, Any], Any] = form) -> Any:
            return y + 0.1 * jnp.tanh(form(y, kernel))

        def loss(kernel: Any, x: Any, body: Callable[[Any, Any], Any] = body) -> Any:
            if looped:
                again = jax.checkpoint(lambda y, _: (body(y, kernel), None), prevent_cse=False)
                return jnp.sum(jnp.square(jax.lax.scan(again, x, None, length=EVALUATIONS)[0]))
            for _ in range(EVALUATIONS):
                x = body(x, kernel)
            return jnp.sum(jnp.square(x))

        program = jax.jit(jax.value_and_grad(loss, (0, 1)) if gradient else loss).lower(kernel, x).compile()
        run = lambda program=program: jax.block_until_ready(program(kernel, x))  # noqa: E731
        run()
        steps[name] = Step(
            "odeembed", run, lambda: None, (0.0, 0.0), Counts(EVALUATIONS, EVALUATIONS, 0, 0), 0.0, None
        )
    return steps


def measure(rounds: int, rows: int, channels: int) -> list[dict[str, Any]]:
    """A row for each form, side, place and direction: milliseconds a convolution, and the ratio to ours."""
    found = []
    clock = time.process_time if accelerator() is None else time.perf_counter
    for side, looped, gradient in itertools.product(SIZES, (True, False), (False, True)):
        timed = time_rounds(
            forms(rows, side, channels, looped, gradient), rounds, np.random.default_rng(0), clock
        )
        for name, measured in timed.items():
            found.append(
                {
                    "side": side,
                    "place": "in a loop" if looped else "in a row",
                    "gradient": gradient,
                    "form": name,
                    "milliseconds": 1e3 * float(np.median(measured.seconds)) / EVALUATIONS,
                    "over_ours": float(np.median(ratios(measured, timed["ours"]))),
                }
            )
            print(found[-1], flush=True)
    return found


def _shifted(x: Any) -> list[Any]:
    high, wide = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [x[:, i : i + high, j : j + wide] for i in range(3) for j in range(3)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description="Time convolutions and their gradients.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = measure(options.rounds, options.rows, options.channels)
    facts = circumstances("jax", "jaxlib", "numpy")
    sizes = {"rows": options.rows, "channels": options.channels}
    result = {"kind": "convolutions", "rounds": options.rounds, "sizes": sizes, **facts, "measured": rows}
    print(write_result(result_file(options.results, "convolutions"), result))


if __name__ == "__main__":
    main()
