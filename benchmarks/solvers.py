"""A training step through a solve: this library, diffrax, torchdiffeq, torchode and the bare evaluations of the field.

    python benchmarks/solvers.py --workloads W1 W3 --rounds 15
    python -m odeembed.results

The first writes benchmarks/results/solvers-<workload>.json for each workload, the second fills the tables of
docs/performance.md from them. Time is CPU time of this process, which is bound to one processor core and uses one
thread; so let nothing else run on that core. On an accelerator,

    python benchmarks/solvers.py --accelerator --adjoints replay

it is the time until the accelerator is done; products are exact in all libraries, and programs are compiled side by
side. Its results are benchmarks/results/solvers-<workload>-accelerator.json.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from recording import RESULTS, circumstances, need_accelerator, result_file, write_result


def main(arguments: argparse.Namespace) -> None:
    """Measures the workloads, one after the other, and writes their results."""
    pinned = False if arguments.accelerator else use_one_core(arguments.core)
    # Imported here, since jax and torch count the cores when they are imported.
    from workloads import flow, gru, image, latent, mlp
    from workloads.measuring import build, measure

    if arguments.accelerator:
        need_accelerator()
    packages = ["jax", "jaxlib", "diffrax", "optax", "numpy"]
    torch: Any = None
    if arguments.peers:
        from workloads.torch_solves import torch

        if arguments.accelerator:
            torch.set_default_device("cuda")
        else:
            torch.set_num_threads(1)
        packages += ["torch", "torchdiffeq", "torchode"]
    if arguments.accelerator:
        exact_products(torch)
    modules = {"W1": mlp, "W2": gru, "W3": latent, "W4": flow, "W5": image}
    wanted = [
        (name, case)
        for name in arguments.workloads
        for case in modules[name].cases(arguments.adjoints, arguments.peers)
        if not arguments.cases or any(part in case.name for part in arguments.cases)
    ]
    built: list[Any] = [None] * len(wanted)
    if arguments.accelerator:
        built = build([case for _, case in wanted], os.cpu_count() or 1)
    clock = time.perf_counter if arguments.accelerator else time.process_time
    for name in arguments.workloads:
        cases = []
        for (of, case), steps in zip(wanted, built, strict=True):
            if of != name:
                continue
            say = lambda line, name=name: print(f"{name} {line}", flush=True)  # noqa: E731
            cases.append(measure(case, arguments.rounds, say=say, steps=steps, clock=clock))
            for comparison in cases[-1]["comparisons"]:
                if arguments.accelerator:  # the targets are those of one core
                    comparison.update(target=None)
                print(f"{name} {case.name}: {comparison['what']} {comparison['ratio']:.2f}", flush=True)
        result = {
            "kind": "solvers",
            "workload": name,
            "about": (modules[name].__doc__ or "").partition("\n")[0],
            "rounds": arguments.rounds,
            "one_core": pinned,
            **circumstances(*packages),
            "cases": cases,
        }
        if not arguments.cases:
            print(write_result(result_file(arguments.results, f"solvers-{name.lower()}"), result))


def exact_products(torch: Any) -> None:
    """Asks all libraries for products of float32 numbers as they are; accelerators round them otherwise."""
    import jax

    jax.config.update("jax_default_matmul_precision", "float32")
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def use_one_core(core: int | None) -> bool:
    """Binds this process to one core, by default the last it may use, and says whether that can be done here."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if core is None else core})
    return True


def parser() -> argparse.ArgumentParser:
    """The options."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("W1", "W2", "W3", "W4", "W5")
    top.add_argument("--workloads", nargs="+", choices=names, default=names)
    top.add_argument("--rounds", type=int, default=15)
    top.add_argument(
        "--adjoints",
        nargs="+",
        default=("replay", "recursive"),
        help="gradient methods of this library; the first is compared with the others",
    )
    top.add_argument(
        "--cases", nargs="+", default=(), help="only cases with one of these words in their name"
    )
    top.add_argument(
        "--without-torch", dest="peers", action="store_false", help="leave out torchdiffeq and torchode"
    )
    top.add_argument(
        "--accelerator", action="store_true", help="measure on jax's default device and torch's first GPU"
    )
    top.add_argument("--core", type=int, help="processor core to use (default: the last one)")
    top.add_argument("--results", type=Path, default=RESULTS)
    return top


if __name__ == "__main__":
    main(parser().parse_args())
