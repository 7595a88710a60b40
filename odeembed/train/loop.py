"""The training loop: steps, the window of metrics, evaluation, checkpoints, and how a run ends."""

import contextlib
import errno
import json
import math
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from odeembed import mean
from odeembed.batch import Batch
from odeembed.errors import ConfigError, DataError, RunError, TrainingError
from odeembed.evaluate.masked import evaluate_split
from odeembed.mean import Mean
from odeembed.train import cluster
from odeembed.train.checkpoint import Checkpoints, tree_differences, tree_spec
from odeembed.train.compilation import Compiled, enable_compilation_cache
from odeembed.train.logs import MetricsFile, Progress, Report, TensorBoard
from odeembed.train.optimizer import below
from odeembed.train.parallel import check_rows, make_parallel
from odeembed.train.prefetch import prefetch
from odeembed.train.signals import StopSignals
from odeembed.train.state import TrainState, evaluated_params, init_state
from odeembed.train.step import Step, make_step


class Outcome(NamedTuple):
    """How a run went.

    Attributes:
      steps: steps taken, those before a resume included.
      tokens: real entries trained on, likewise, of all processes.
      seconds: wall time of this process; `total_seconds` with the processes before it.
      best_step: the best checkpoint's step, None when none was evaluated.
      metrics: the last held-out metrics.
      stopped: why it ended; "signal" means that it can be resumed.
      compilations: programs compiled for the step, one a batch shape.
      time: seconds of this process spent in setup, compile, data, step, evaluation and checkpoint; "data" is the host's
        wait for batches, during which the device may still be busy with the steps before.
      peak_memory_bytes: most memory this process ever held on the host.
      device_memory_bytes: the same on one device, where the backend counts it (not on the CPU); 0 otherwise.
      step_bytes: memory of the largest compiled step on one device: state, batch and temporaries; 0 if unknown.
    """

    steps: int
    tokens: int
    seconds: float
    total_seconds: float
    best_step: int | None
    metrics: dict[str, float]
    stopped: Literal["finished", "signal", "patience"]
    compilations: int
    time: dict[str, float]
    peak_memory_bytes: int
    device_memory_bytes: int
    step_bytes: int


def train(
    experiment: Any, dataset: Any, run_dir: Path | str, *, resume: bool = False, report: Report | None = None
) -> Outcome:
    """Trains `experiment.model` on `dataset` and leaves metrics.jsonl and checkpoints in `run_dir`.

    A run that was killed and resumed writes the same metrics, bit for bit, as one that never stopped, on the same
    number and kind of devices. Of several processes (`odeembed.train.cluster`) each calls this; the first writes.

    Args:
      experiment: an Experiment, or any object with its attributes.
      dataset: `batch(step)`, `evaluation(split)`, `specialise(model)`, `fingerprint` and `steps_per_epoch`.
      resume: goes on from the latest good checkpoint; from the start when there is none yet.
      report: follows the run, by default on standard error.

    Raises:
      ConfigError: a setting out of range, rows that the devices do not divide, other data than before the resume.
      RunError: the folder holds checkpoints and `resume` is false, or another process is writing there.
      CheckpointError: the checkpoints are damaged or of another model.
      TrainingError: a metric is not finite, a solve failed, or the disk is full; the last good checkpoint stays.
    """
    enable_compilation_cache()
    with contextlib.ExitStack() as stack:
        if not cluster.first():
            report = _silent
        if report is None:
            report = stack.enter_context(contextlib.closing(Progress()))
        signals = stack.enter_context(StopSignals())
        checkpoints = stack.enter_context(
            Checkpoints(
                run_dir, write=True, keep_latest=experiment.keep_latest, keep_best=experiment.keep_best
            )
        )
        run = _Run(experiment, dataset, checkpoints, report)
        try:
            run.begin(resume)
            stack.callback(run.open_logs(Path(run_dir)).close)
            return run.go(signals)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise TrainingError(
                f"the disk of {run_dir} is full at step {run.step}; {run.safe_step()}. Free space, then resume."
            ) from error


class _Progress(NamedTuple):
    """What a resumed run must know beside the state."""

    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    stale: int = 0
    metrics: dict[str, float] | None = None


class _Run:
    """A run in this process; its only purpose is to share names between the parts of `train`."""

    def __init__(self, experiment: Any, dataset: Any, checkpoints: Checkpoints, report: Report) -> None:
        self.clock = _Clock()
        self.experiment, self.dataset = experiment, dataset
        self.checkpoints, self.report = checkpoints, report
        self.model = dataset.specialise(experiment.model)
        self.parallel = make_parallel(experiment.parallel, fsdp=experiment.fsdp, tensor=experiment.tensor)
        self.optimizer = experiment.optimizer.build(experiment.steps)
        self.step = self.first = 0
        self.so_far = _Progress()

    def begin(self, resume: bool) -> None:
        """Makes the first state or restores the last."""
        exp, steps = self.experiment, self.checkpoints.steps()
        if steps and not resume:
            raise RunError(
                f"{self.checkpoints.folder.parent} already holds checkpoints up to step {steps[-1]}. Resume it, or "
                f"name another folder."
            )
        batch = self.dataset.batch(0)
        check_rows(batch, self.parallel.devices, exp.accumulate, self.parallel.processes)
        arguments = self.model, exp.objective, self.optimizer, batch, exp.seed, exp.ema
        abstract = jax.eval_shape(lambda: init_state(*arguments))
        exp.optimizer.check(abstract.params)
        self._check_evaluation(abstract.params)
        self.compiled = Compiled(self.parallel.map(self._step(), abstract), self._notice)
        if steps or self.checkpoints.damaged:
            state = self.checkpoints.restore(abstract)
            self._take_up(int(state.step))
            state = self.parallel.place_state(state)
        elif exp.init_from is not None:
            state = init_state(*arguments)
            state = self._init_from(exp.init_from.replace("{seed}", str(exp.seed)), state)
            state = self.parallel.place_state(state)
        else:
            state = init_state(*arguments, self.parallel.shardings(abstract))
        self.state = state
        self.key = self.parallel.replicate(jax.random.key(exp.seed))

    def open_logs(self, run_dir: Path) -> contextlib.ExitStack:
        """Opens what is written beside the checkpoints; lines beyond the restored step are dropped."""
        with contextlib.ExitStack() as stack:
            self.logs: list[Any] = []
            if cluster.first():
                self.logs += [stack.enter_context(contextlib.closing(MetricsFile(run_dir, self.step)))]
            if cluster.first() and self.experiment.tensorboard:
                self.logs.append(stack.enter_context(contextlib.closing(TensorBoard(run_dir, self.step))))
            return stack.pop_all()

    def go(self, signals: StopSignals) -> Outcome:
        """Takes the steps that are left."""
        exp = self.experiment
        self.clock.lap("setup")
        self._open_window()
        with contextlib.closing(prefetch(self._batch, self.step, exp.steps)) as batches:
            stopped = self._stopped(signals)
            while stopped is None:
                tokens, batch = next(batches)
                self.clock.lap("data")
                program = self.compiled.program(self.state, batch)
                self.clock.lap("compile")
                self.state = program(self.state, batch)
                self.step += 1
                self.so_far = self.so_far._replace(tokens=self.so_far.tokens + tokens)
                stopped = self._after_step(signals)
        self.checkpoints.wait()
        self.clock.lap("checkpoint")
        return self._outcome(stopped)

    def _step(self) -> Step:
        exp = self.experiment
        return make_step(
            self.model,
            exp.objective,
            self.optimizer,
            accumulate=exp.accumulate,
            ema=exp.ema,
            log_every=exp.log_every,
            spread=self.parallel.spread,
            gather=self.parallel.gather,
            products=exp.products,
        )

    def _batch(self, step: int) -> tuple[int, Batch]:
        batch = self.dataset.batch(step)
        check_rows(batch, self.parallel.devices, self.experiment.accumulate, self.parallel.processes)
        return int(np.sum(batch.mask)), self.parallel.place_batch(batch)

    def _after_step(self, signals: StopSignals) -> Any:
        exp = self.experiment
        last = self.step == exp.steps
        if last or self.step % exp.log_every == 0:
            self._log(signals)
        self.clock.lap("step")
        rank, improved = None, False
        if last or self.step % exp.evaluate_every == 0:
            rank, improved = self._evaluate()
            self.clock.lap("evaluation")
        if cluster.preempted(self.step):
            signals.agree("SIGTERM")
        stopped = self._stopped(signals)
        if stopped or self.step % exp.checkpoint_every == 0 or (improved and exp.keep_best):
            self._save(rank)
            self.clock.lap("checkpoint")
        if stopped == "signal":
            name = signals.name or "a signal to another process"
            self._notice(f"{name}: saved step {self.step} of {exp.steps}; resume to go on")
        return stopped

    def _stopped(self, signals: StopSignals) -> Literal["finished", "signal", "patience"] | None:
        if self.step >= self.experiment.steps:
            return "finished"
        if 0 < self.experiment.patience <= self.so_far.stale:
            return "patience"
        return "signal" if signals.stop else None

    def _log(self, signals: StopSignals) -> None:
        means = self._window()
        signals.agree()
        self.clock.lap("step")
        rate = self.experiment.optimizer.learning_rate(self.step - 1, self.experiment.steps)
        worked, tokens = self.clock.worked(), self.so_far.tokens
        speed = cluster.total(tokens - self._opened[1]) / max(worked - self._opened[0], 1e-9)
        epoch = self.step / self.dataset.steps_per_epoch
        values = mean.summarise(means) | {"learning_rate": float(rate), "epoch": epoch}
        self._open_window()
        self._write("train", values | {"tokens_per_second": round(speed, 1)})

    def _open_window(self) -> None:
        self._opened = self.clock.worked(), self.so_far.tokens

    def _window(self) -> dict[str, Mean]:
        """The metrics summed on the devices, checked; the one place where the host waits for them."""
        means = jax.device_get(self.state.means)
        first = (self.step - 1) // self.experiment.log_every * self.experiment.log_every + 1
        self._check(means, f"training, steps {first} to {self.step}")
        return means

    def _evaluate(self) -> tuple[float, bool]:
        exp = self.experiment
        jax.block_until_ready(self.state.step)
        self.clock.lap("step")
        batches = map(self.parallel.place_rows, self.dataset.evaluation("valid"))
        params = evaluated_params(self.state)
        means = evaluate_split(self.model, params, exp.objective, batches, self.key)
        self._check(means, f"evaluation after step {self.step}")
        values = mean.summarise(means)
        self._write("eval", values)
        rank = _rank(values, exp.monitor)
        improved = self.so_far.best is None or rank < self.so_far.best
        self.so_far = self.so_far._replace(
            best=rank if improved and math.isfinite(rank) else self.so_far.best,
            stale=0 if improved else self.so_far.stale + 1,
            metrics=values,
        )
        return rank, improved

    def _save(self, rank: float | None) -> None:
        self._window()
        so_far = self.so_far._replace(tokens=cluster.total(self.so_far.tokens), seconds=self._seconds())
        facts = {"data": self.dataset.fingerprint, "so_far": so_far._asdict()}
        self.checkpoints.save(self.step, self.state, rank, facts)

    def _check(self, means: Mapping[str, Mean], where: str) -> None:
        failed = means.get("solver/failed")
        if failed is not None and failed.total > 0:
            raise TrainingError(
                f"{where}: solver/failed is {failed.total:.0f} of {failed.count:.0f} rows; expected none. Raise "
                f"max_steps or loosen rtol and atol in the model's solve settings; {self.safe_step()}."
            )
        bad = [name for name, value in means.items() if not np.isfinite(value.total)]
        if bad:
            name = "loss" if "loss" in bad else bad[0]
            optimizer = self.experiment.optimizer
            raise TrainingError(
                f"{where}: {name} is {float(means[name].total)}; expected a finite number. Lower optimizer.peak "
                f"(now {optimizer.peak}) or optimizer.clip (now {optimizer.clip}), or lengthen optimizer.warmup (now "
                f"{optimizer.warmup}); {self.safe_step()}."
            )

    def safe_step(self) -> str:
        """Which checkpoint is left, as a phrase."""
        steps = self.checkpoints.steps()
        return f"the last good checkpoint is of step {steps[-1]}" if steps else "there is no checkpoint yet"

    def _check_evaluation(self, params: Any) -> None:
        """Traces an evaluation, so that a wrong `monitor` or an empty split shows before the first step."""
        batch = next(iter(self.dataset.evaluation("valid")), None)
        if batch is None:
            raise DataError("the valid split has no batch. Give it text, or a larger held_out.")
        exp, key = self.experiment, jax.random.key(0)
        shapes = jax.eval_shape(lambda p, b: exp.objective.evaluate(self.model, p, b, key), params, batch)
        _rank(mean.summarise({name: Mean(0.0, 1.0) for name in shapes}), exp.monitor)

    def _take_up(self, step: int) -> None:
        facts = self.checkpoints.facts(step)
        found = json.loads(json.dumps(self.dataset.fingerprint))
        for field in sorted({*found, *facts["data"]}):
            before, now = facts["data"].get(field), found.get(field)
            if before != now:
                raise ConfigError(
                    f"the data differ from those of the checkpoint: {field} was {before}, is {now}. Resume with the "
                    f"data it was trained on, or start another run with init_from."
                )
        self.step = self.first = step
        self.so_far = _Progress(**facts["so_far"])
        if not cluster.first():  # each process counts its own tokens, and the first those before it
            self.so_far = self.so_far._replace(tokens=0)
        self.checkpoints.discard_after(step)
        self._notice(f"resumed after step {step}")

    def _init_from(self, other: str, state: TrainState) -> TrainState:
        step, params = Checkpoints(other).restore_params("best")
        only = self.experiment.init_only
        if only:
            params, missing = _grafted(params, state.params, only)
            if missing:
                raise ConfigError(
                    f"init_only must name parameters of {other} and of this model; got {', '.join(missing)}. "
                    f"There are {', '.join(sorted(state.params))}."
                )
        faults = tree_differences(tree_spec(params), tree_spec(state.params))
        if faults:
            raise ConfigError(
                f"init_from {other} holds the parameters of another model; {faults}. Name a run of this model."
            )
        self._notice(f"parameters of {other}, step {step}")
        average = None if state.ema is None else params
        return state._replace(params=params, ema=average)

    def _write(self, kind: str, values: Mapping[str, Any]) -> None:
        record = {"step": self.step, "kind": kind, **values, "seconds": round(self._seconds(), 3)}
        for log in self.logs:
            log.write(record)
        steps, taken = self.experiment.steps, self.step - self.first
        left = (steps - self.step) * (self.clock.total() - self.compiled.seconds) / max(taken, 1)
        entries = getattr(getattr(self.dataset, "data", None), "entries", "tokens")
        self.report({**record, "steps": steps, "seconds_left": left, "entries": entries})

    def _notice(self, text: str) -> None:
        self.report({"kind": "notice", "text": text})

    def _seconds(self) -> float:
        return self.so_far.seconds + self.clock.total()

    def _outcome(self, stopped: Any) -> Outcome:
        stats = [device.memory_stats() or {} for device in self.parallel.mesh.local_devices]
        return Outcome(
            steps=self.step,
            tokens=cluster.total(self.so_far.tokens),
            seconds=self.clock.total(),
            total_seconds=self._seconds(),
            best_step=self.checkpoints.best_step(),
            metrics=self.so_far.metrics or {},
            stopped=stopped,
            compilations=self.compiled.compilations,
            time=dict(self.clock.spent),
            peak_memory_bytes=_peak_memory_bytes(),
            device_memory_bytes=max(stat.get("peak_bytes_in_use", 0) for stat in stats),
            step_bytes=self.compiled.step_bytes,
        )


def _grafted(taken: Any, own: Any, prefixes: tuple[str, ...]) -> tuple[Any, list[str]]:
    """`own` parameters with those below the prefixes from `taken`, and the prefixes that one of the two lacks."""
    taken, own = flatten_dict(taken, sep="/"), flatten_dict(own, sep="/")
    missing = [
        prefix
        for prefix in prefixes
        if not all(any(below(path, prefix) for path in tree) for tree in (taken, own))
    ]
    found = {path: leaf for path, leaf in taken.items() if any(below(path, prefix) for prefix in prefixes)}
    return unflatten_dict({**own, **found}, sep="/"), missing


def _rank(values: Mapping[str, float], monitor: str) -> float:
    name = monitor.removeprefix("-")
    if name not in values:
        raise ConfigError(
            f"monitor must name a held-out metric, with - before it when larger is better; got {monitor!r}. "
            f"There are {', '.join(sorted(values))}."
        )
    return -values[name] if monitor.startswith("-") else values[name]


def _silent(record: Mapping[str, Any]) -> None:
    """What a process that is not the first tells."""


class _Clock:
    """Wall time of this process, each stretch of it booked under the name of what it was spent on."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        names = "setup", "compile", "data", "step", "evaluation", "checkpoint"
        self.spent: dict[str, float] = {name: 0.0 for name in names}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.spent[name] += now - self._last
        self._last = now

    def total(self) -> float:
        return time.perf_counter() - self._start

    def worked(self) -> float:
        """Seconds spent on steps and on waiting for their data."""
        return self.spent["step"] + self.spent["data"]


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB
