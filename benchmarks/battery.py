"""The battery: what happens to runs and to files in the world, done to them many times over, and counted.

    make battery                                             # all of it, about half an hour of two cores
    python benchmarks/battery.py --only fuzz --inputs 1000   # a part, which writes no result
    python -m odeembed.results

The first writes benchmarks/results/battery.json, the last fills the table of docs/reliability.md from it. What is drawn
at random is drawn by fixed seeds.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recording import RESULTS, circumstances, write_result
from trials.trial import Trial

PARTS = ("kills", "signals", "damage", "disk", "finite", "soak", "fuzz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts, tells each finding, and returns 1 where a bar was missed or nothing could be tried."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--kills", type=positive, default=200)
    parser.add_argument("--signals", type=positive, default=24)
    parser.add_argument("--full-disks", type=positive, default=12)
    parser.add_argument("--steps", type=positive, default=2000, help="of the long run")
    parser.add_argument("--inputs", type=positive, default=10_000, help="of each kind that is read")
    parser.add_argument("--workers", type=positive, default=os.cpu_count())
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    os.environ["JAX_PLATFORMS"] = "cpu"
    # Imported here, since jax looks at that when it is imported.
    from trials import faults, fuzz, kills

    folder = Path(tempfile.mkdtemp(prefix="odeembed-battery-"))
    workers = max(1, options.workers - 1)
    # Two lanes of what is done in other processes, side by side, and then one of what is done in this one.
    lanes: Sequence[Sequence[dict[str, Callable[[], Iterator[Trial]]]]] = (
        (
            {
                "kills": lambda: kills.kills(options.kills, folder),
                "signals": lambda: kills.signals(options.signals, folder),
                "disk": lambda: faults.full_disk(options.full_disks, folder),
            },
            {"fuzz": lambda: fuzz.fuzz(list(fuzz.KINDS), options.inputs, workers)},
        ),
        (
            {
                "damage": lambda: faults.damage(folder),
                "finite": lambda: faults.not_finite(folder),
                "soak": lambda: faults.soak(options.steps, folder),
            },
        ),
    )

    def done(lane: dict[str, Callable[[], Iterator[Trial]]]) -> list[dict[str, Any]]:
        return [told(trial) for name in lane if name in options.only for trial in lane[name]()]

    try:
        found = []
        for together in lanes:
            with ThreadPoolExecutor() as pool:
                found += [trial for lane in pool.map(done, together) for trial in lane]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if set(options.only) == set(PARTS):
        result = {"kind": "battery", **circumstances("jax", "jaxlib", "orbax-checkpoint"), "trials": found}
        print(write_result(options.results / "battery.json", result))
    return 1 if any(trial["failed"] or not trial["count"] for trial in found) else 0


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1; got {number}")
    return number


def told(trial: Trial) -> dict[str, Any]:
    """What a trial found, ready for JSON; printed too."""
    found = trial.to_json()
    figures = "; ".join(f"{what} {value:.3g}" for what, value in trial.figures.items())
    failed = f"{found['failed']} failed" if found["failed"] else "all held" if found["count"] else "not tried"
    lines = [f"{trial.name}: {trial.count}, {failed}. {figures}", *(f"  {one}" for one in found["failures"])]
    print("\n".join(lines), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
