"""Damage, a full disk, numbers that are not finite, and time: what a run meets besides its own end."""

import gc
import os
import resource
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from trials.kills import EVERY, FAILED, TOLD, experiment, left, live, outcome, reference
from trials.trial import Trial


def silent(record: Any) -> None:
    """Tells nothing."""


def damage(folder: Path) -> Iterator[Trial]:
    """Flips a bit of every file of the newest checkpoint, cuts it, removes it."""
    from odeembed.errors import CheckpointError
    from odeembed.runs import train
    from odeembed.train.checkpoint import Checkpoints

    run = folder / "damaged"
    train(replace(experiment(), steps=3 * EVERY), run, report=silent)
    checkpoints = Checkpoints(run)
    before, newest = checkpoints.steps()[-2:]
    step = checkpoints.folder / str(newest)
    shutil.copytree(step, folder / "whole-step")
    trial = Trial(
        "a file of the newest checkpoint flipped, cut or removed",
        "the damage is named with file and step, and the checkpoint before is taken",
    )
    for file in sorted(path for path in step.rglob("*") if path.is_file()):
        for how, harm in HARMS.items():
            if file.stat().st_size == 0 and how != "removed":
                continue
            harm(file)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                try:
                    taken = checkpoints.restore_params("latest").step
                except CheckpointError as error:
                    taken = str(error)
            # Sums that are wrong accuse the files that they are of; without them a step counts as unfinished.
            words = (str(newest),) if file.name == "sha256.json" else (str(newest), file.name)
            named = any(all(word in str(one.message) for word in words) for one in told)
            unfinished = file.name == "sha256.json" and how == "removed"
            trial.check(taken == before and (named or unfinished), f"{file.name} {how}: {taken}")
            shutil.rmtree(step)
            shutil.copytree(folder / "whole-step", step)
    yield trial


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


HARMS: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut": lambda file: os.truncate(file, file.stat().st_size - 1),
    "removed": os.remove,
}


def full_disk(count: int, folder: Path, seed: int = 2) -> Iterator[Trial]:
    """Trains on a file system of a size drawn anew each time, too small for the run, and makes it larger then.

    Mounting one takes the rights to; where they are not there nothing is tried, and the count is 0.
    """
    rng = np.random.default_rng(seed)
    expected, _ = reference(folder)
    trial = Trial(
        "no room in the middle of a run",
        "it ends with an error that names the last good step, which is whole; with room again it ends equal to the bit",
    )
    place = folder / "small"
    place.mkdir()
    while trial.count < count:
        size = int(rng.integers(300_000, 1_500_000))
        if _refused(place, "-t", "tmpfs", "-o", f"size={size}", "none"):
            break
        try:
            run = place / "run"
            status, _ = live(run, None)
            if status == 0:  # there was room enough
                continue
            reached, kept, faults = left(run)
            text = (place.parent / TOLD).read_text() if status == FAILED else ""
            names = f"step {kept}" in text if kept else "no earlier" in text or "room" in text
            _refused(place, "-o", "remount,size=32m")
            again, _ = live(run, None)
            held = status == FAILED and not faults and names and again == 0 and outcome(run) == expected
            trial.check(
                held,
                f"{size} bytes: status {status}, then {again}; step {reached}, kept {kept}; {faults}; {text}",
            )
        finally:
            subprocess.run(["umount", place], check=True)
    yield trial


def _refused(place: Path, *how: str) -> bool:
    """Whether that could not be done."""
    try:
        return subprocess.run(["mount", *how, place], capture_output=True).returncode != 0
    except OSError:
        return True


def not_finite(folder: Path) -> Iterator[Trial]:
    """NaN and infinity in data, from the start and later; fields that no solver follows."""
    from odeembed.data.points import PointDataset
    from odeembed.errors import OdeembedError, TrainingError
    from odeembed.runs import train
    from odeembed.train.checkpoint import Checkpoints

    trial = Trial(
        "NaN or infinity in a batch, from some step on",
        "training ends with the steps and the metric, and no checkpoint holds what is not finite",
    )
    original = PointDataset.batch
    for number, (value, share, first) in enumerate(
        (value, share, first)
        for value in (np.nan, np.inf, -np.inf, 1e38)
        for share in (1.0, 0.01)
        for first in (0, 1, 7, EVERY, EVERY + 1, 3 * EVERY - 1)
    ):
        run = folder / f"poisoned-{number}"

        def poisoned(
            self: Any, step: int, value: Any = value, share: float = share, first: int = first
        ) -> Any:
            batch = original(self, step)
            values = np.array(batch.values)
            if step >= first:
                values[: max(1, int(share * len(values)))] = value
            return batch._replace(values=values)

        PointDataset.batch = poisoned  # pyright: ignore[reportAttributeAccessIssue]
        try:
            train(replace(experiment(), steps=4 * EVERY), run, report=silent)
            ended = "no error"
        except TrainingError as error:
            ended = "" if "steps" in str(error) else str(error)
        except OdeembedError as error:
            ended = str(error)
        finally:
            PointDataset.batch = original
        checkpoints = Checkpoints(run)
        finite = all(
            np.isfinite(leaf).all()
            for step in checkpoints.steps()
            for leaf in jax.tree.leaves(checkpoints.restore_params(step).params)
        )
        trial.check(
            not ended and finite, f"{value} in {share:.0%} from step {first}: {ended}, finite {finite}"
        )
        shutil.rmtree(run)
    yield trial
    yield from _stiff()


def _stiff() -> Iterator[Trial]:
    """Solves that do not arrive: each says so, and nothing that is not finite comes out as if it were a state."""
    import jax.numpy as jnp

    from odeembed.solve.config import SolveConfig, Status
    from odeembed.solve.solve import solve

    trial = Trial(
        "fields that are stiff, that blow up, or are NaN in some rows",
        "these rows are counted as failed; with steps row by row the others are solved as if they were alone, in value "
        "and gradient, and with steps for all the value is finite, and the gradient if it is not diffrax's",
    )

    def field(params: Any, t: Any, y: Any, context: Any) -> Any:
        # Each kind's states alone reach its formula: what the others overflow to would come back as 0 * inf.
        kind, rate = context
        alone = [jnp.where(kind == number, y, 0.0) for number in range(3)]
        formulas = (-params * alone[0], -rate * (alone[1] - jnp.cos(t)), rate * alone[2] * alone[2])
        return jnp.select([kind == number for number in range(3)], formulas, jnp.nan)

    def summed(config: SolveConfig) -> Callable[..., Any]:
        def total(params: Any, kinds: Any, rate: Any) -> Any:
            y0, context = jnp.ones((len(kinds), 1)), (kinds, jnp.full_like(kinds, rate))
            found = solve(field, params, y0, jnp.array([0.0, 1.0]), config, context)
            return jnp.where(found.failed[:, None], 0.0, found.ys[:, -1]).sum(), found.status

        return jax.jit(jax.value_and_grad(total, has_aux=True))

    for adjoint in ("replay", "recursive", "backsolve"):
        for control in ("row", "batch"):
            solved = summed(
                SolveConfig(solver="dopri5", steps=None, max_steps=24, adjoint=adjoint, control=control)
            )
            for bad in (1.0, 2.0, 3.0):
                for rate in (1e4, 1e6, 1e8):
                    kinds = jnp.array([[0.0], [bad], [0.0]])
                    (value, status), slope = solved(1.0, kinds, rate)
                    failed = np.asarray(status) != Status.SUCCESS
                    if control == "row":
                        (alone, _), slope_alone = solved(1.0, kinds[::2], rate)
                        held = list(failed) == [False, True, False]
                        held = held and np.allclose([value, slope], [alone, slope_alone], rtol=1e-5)
                    else:
                        # diffrax's checkpoints give NaN where states overflowed.
                        held = (
                            failed[1]
                            and np.isfinite(value if adjoint == "recursive" else [value, slope]).all()
                        )
                    trial.check(
                        bool(held),
                        f"{adjoint}, {control}, kind {bad}, rate {rate:g}: {failed}, {value}, {slope}",
                    )
    yield trial


def soak(steps: int, folder: Path) -> Iterator[Trial]:
    """Trains for long, and looks at memory and at what is compiled."""
    from odeembed.runs import train

    compiled: list[int] = []
    memory: list[tuple[int, float]] = []
    reached = [0]

    def count(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(reached[0])

    def look(record: Any) -> None:
        reached[0] = record.get("step", reached[0])
        if record.get("kind") == "train" and reached[0] % 50 == 0:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            memory.append((reached[0], pages * resource.getpagesize() / 2**20))

    jax.monitoring.register_event_duration_secs_listener(count)
    one = replace(experiment(), steps=steps, checkpoint_every=100, evaluate_every=200, log_every=10)
    train(one, folder / "soak", report=look)
    warm = steps // 4
    late = [step for step in compiled if warm <= step < steps]  # at the end the test split is evaluated
    # The least of a quarter: what is waiting to be collected comes and goes.
    early, end = (
        min(size for step, size in memory if first <= step < first + steps / 4)
        for first in (steps / 4, steps * 3 / 4)
    )
    growth = end / early - 1
    trial = Trial(
        f"{steps:,} steps, {steps // 100} of them saved",
        f"after {warm:,} steps nothing is compiled, and memory grows by less than 1 % from the second quarter to the "
        "last",
    )
    trial.check(not late and growth < 0.01, f"compiled at {late}; {100 * growth:.2f} % more memory")
    trial.figures |= {
        "programs compiled": float(sum(step < steps for step in compiled)),
        "memory, MiB": end,
        "growth, %": 100 * growth,
    }
    yield trial
