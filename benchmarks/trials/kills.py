"""Processes that end at any moment: kill -9, and signals that ask to stop."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from trials.trial import Trial

CONFIG, STEPS, EVERY = "circles_flow", 120, 20
STOPPED, FAILED = 75, 3  # exit statuses of a run that a signal stopped, or that ended in an error of its own
TOLD = "told.txt"  # beside the folder of a run, what it said in the end
GRACE = 30.0  # seconds that clusters give between SIGTERM and kill -9
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def experiment() -> Any:
    """A flow on two circles, trained by its likelihood; saved every 20 steps of 120."""
    from odeembed.experiment import load_config

    one = load_config(CONFIG, "small")
    return replace(
        one, steps=STEPS, checkpoint_every=EVERY, evaluate_every=3 * EVERY, log_every=1, scores=(), ema=0.9
    )


def train_in(path: Path) -> None:
    """Trains there, or goes on, as `odeembed train --resume` does; the whole of a child process."""
    from odeembed.errors import OdeembedError
    from odeembed.runs import train

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        done = train(experiment(), path, begun=True, report=lambda record: None)
    except (OdeembedError, OSError) as error:
        (path.parent.parent / TOLD).write_text(str(error))
        os._exit(FAILED)
    os._exit(STOPPED if done is None else 0)


def kills(count: int, folder: Path, seed: int = 0) -> Iterator[Trial]:
    """Kills training at random moments, starting, training, saving, pruning and evaluating, and goes on each time."""
    rng = np.random.default_rng(seed)
    expected, seconds = reference(folder)
    bar = (
        f"every checkpoint that is listed is whole; what is lost is at most one interval of {EVERY} steps, and the one "
        f"that was being written"
    )
    trial = Trial("kill -9 at a random moment", bar)
    ended = Trial(
        "runs to their end through all kills",
        "parameters and metrics equal to the bit those of a run never killed",
    )
    number, run = 0, folder / "killed-0"
    lost = []
    while trial.count < count:
        status, _ = live(run, rng.uniform(0, 0.8 * seconds))
        if status == 0:
            ended.check(outcome(run) == expected, f"{run.name} ended otherwise")
            shutil.rmtree(run)
            number, run = number + 1, folder / f"killed-{number + 1}"
            continue
        reached, kept, faults = left(run)
        gone = reached - kept
        lost.append(gone)
        trial.check(
            status == -signal.SIGKILL and not faults and gone < 2 * EVERY,
            f"status {status}; step {reached} was reached, {kept} is kept; {faults}",
        )
    status, _ = live(run, None)  # the last one has its end too
    ended.check(status == 0 and outcome(run) == expected, f"{run.name} ended otherwise, with {status}")
    shutil.rmtree(run)
    trial.figures |= {
        "steps lost, median": float(np.median(lost)),
        "steps lost, most": float(max(lost)),
        f"lost more than {EVERY} steps": float(sum(one > EVERY for one in lost)),
    }
    yield trial
    yield ended


def signals(count: int, folder: Path, seed: int = 1) -> Iterator[Trial]:
    """Asks training to stop at random moments of its steps, and goes on to its end."""
    rng = np.random.default_rng(seed)
    expected, _ = reference(folder)
    trial = Trial(
        "SIGTERM, SIGINT or SIGUSR1 in the middle of steps",
        f"the step reached is saved and the process ends within {GRACE:g} s; resumed, equal to the bit",
    )
    for number in range(count):
        run = folder / f"stopped-{number}"
        process = _start(run)
        step = int(rng.integers(1, STEPS - 20))
        while process.is_alive() and _reached(run) < step:
            time.sleep(0.002)
        sent = time.monotonic()
        os.kill(process.pid, _SIGNALS[number % len(_SIGNALS)])
        process.join(GRACE)
        took = time.monotonic() - sent
        if process.is_alive():
            process.kill()
            process.join()
        reached, kept, faults = left(run)
        held = process.exitcode == STOPPED and not faults and kept >= reached and took < GRACE
        status, _ = live(run, None)
        held = held and status == 0 and outcome(run) == expected
        trial.check(held, f"status {process.exitcode}, then {status}; step {reached}, kept {kept}; {faults}")
        trial.most("seconds to the end, most", took)
        shutil.rmtree(run)
    yield trial


def reference(folder: Path) -> tuple[tuple[str, str], float]:
    """The outcome of a run that nothing happened to, and the seconds it took; trained where it is not there yet."""
    whole, took = folder / "whole", folder / "seconds"
    if not took.exists():
        live(whole, None)  # the next finds its programs compiled
        shutil.rmtree(whole)
        took.write_text(str(live(whole, None)[1]))
    return outcome(whole), float(took.read_text())


def outcome(run: Path) -> tuple[str, str]:
    """Digests of the last parameters and of all metrics, times left out."""
    from odeembed.train.checkpoint import Checkpoints
    from odeembed.train.logs import TIMING, read_metrics

    step, params = Checkpoints(run).restore_params("latest")
    digest = hashlib.sha256(str(step).encode())
    for leaf in jax.tree.leaves(params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    lines = [
        {name: value for name, value in line.items() if name not in TIMING} for line in read_metrics(run)
    ]
    return digest.hexdigest(), hashlib.sha256(repr(lines).encode()).hexdigest()


def left(run: Path) -> tuple[int, int, list[str]]:
    """The step reached, the last that is kept, and what is wrong with any that is listed."""
    from odeembed.errors import OdeembedError
    from odeembed.train.checkpoint import Checkpoints

    checkpoints, faults = Checkpoints(run), []
    for step in checkpoints.steps():
        try:
            checkpoints.restore_params(step)
        except OdeembedError as error:
            faults.append(str(error))
    return _reached(run), max(checkpoints.steps(), default=0), faults


def _reached(run: Path) -> int:
    from odeembed.train.logs import read_metrics

    return max((line["step"] for line in read_metrics(run)), default=0)


def _start(run: Path) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["odeembed.runs", "trials.kills"])
    process = context.Process(target=train_in, args=(run,))
    process.start()
    return process


def live(run: Path, seconds: float | None) -> tuple[int | None, float]:
    """Trains for so many seconds, or to the end; the exit status, and how long it took."""
    begin, process = time.monotonic(), _start(run)
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, time.monotonic() - begin
