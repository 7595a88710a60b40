"""A training step through a solve: this library, diffrax, torchdiffeq, torchode and the bare evaluations of the field.

    python benchmarks/solvers.py --workloads W1 W3 --rounds 15
    python -m odeembed.results

The first writes benchmarks/results/solvers-<workload>.json for each workload, the second fills the tables of
docs/performance.md from them. Time is CPU time of this process, which is bound to one processor core and uses one
thread; so let nothing else run on that core.
"""

import argparse
import os
from pathlib import Path

from recording import RESULTS, circumstances, write_result


def main(arguments: argparse.Namespace) -> None:
    """Measures the workloads, one after the other, and writes their results."""
    pinned = use_one_core(arguments.core)
    # Imported here, since jax and torch count the cores when they are imported.
    from workloads import flow, gru, image, latent, mlp
    from workloads.measuring import measure

    packages = ["jax", "jaxlib", "diffrax", "optax", "numpy"]
    if arguments.peers:
        from workloads.torch_solves import torch

        torch.set_num_threads(1)
        packages += ["torch", "torchdiffeq", "torchode"]
    modules = {"W1": mlp, "W2": gru, "W3": latent, "W4": flow, "W5": image}
    for name in arguments.workloads:
        module = modules[name]
        cases = [
            measure(case, arguments.rounds, say=lambda line, name=name: print(f"{name} {line}", flush=True))
            for case in module.cases(arguments.adjoints, arguments.peers)
            if not arguments.cases or any(part in case.name for part in arguments.cases)
        ]
        for case in cases:
            for found in case["comparisons"]:
                print(
                    f"{name} {case['name']}: {found['what']} {found['ratio']:.2f}, target {found['target']}"
                )
        result = {
            "kind": "solvers",
            "workload": name,
            "about": (module.__doc__ or "").partition("\n")[0],
            "rounds": arguments.rounds,
            "one_core": pinned,
            **circumstances(*packages),
            "cases": cases,
        }
        if not arguments.cases:
            print(write_result(arguments.results / f"solvers-{name.lower()}.json", result))


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
    top.add_argument("--core", type=int, help="processor core to use (default: the last one)")
    top.add_argument("--results", type=Path, default=RESULTS)
    return top


if __name__ == "__main__":
    main(parser().parse_args())
