"""Checkpoints of a run: whole or not there, checked byte by byte, the best and the latest kept independently."""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import unflatten_dict
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN
from orbax.checkpoint.options import MultiprocessingOptions

from odeembed.errors import CheckpointError, RunError, TrainingError
from odeembed.train import cluster
from odeembed.train.state import TrainState

FOLDER = "checkpoints"
Which = Literal["latest", "best"] | int
_MANIFEST = "sha256.json"
_TRASH = "trash"
_WORST = 1e30  # what a NaN ranks as: orbax would put it first and delete the best (orbax#526)
_UNRANKED = 2e30


class RestoredParams(NamedTuple):
    """Parameters from disk, the moving average when one is kept, as NumPy arrays; and the step they are from."""

    step: int
    params: Any


class Checkpoints:
    """The checkpoints of a run directory.

    A step is listed once its files and their SHA-256 sums are on disk; orbax itself keeps no sums and reads flipped
    bits as numbers. `save` returns when the state is copied; it is written while training goes on, and `wait` waits for
    that. Of several processes on one file system all call the same methods; each writes its part of the arrays, and
    the first does what is done once.

    Attributes:
      folder: where the steps lie, one folder each.
      damaged: steps found damaged when opened for writing, and put aside as `damaged.<step>`.
    """

    def __init__(
        self, run_dir: Path | str, *, write: bool = False, keep_latest: int = 2, keep_best: int = 1
    ) -> None:
        """Opens the checkpoints of a run.

        Args:
          run_dir: the run directory.
          write: takes the run's lock, clears up after a killed process, and allows `save`.
          keep_latest: newest steps kept.
          keep_best: steps of the lowest rank kept.

        Raises:
          RunError: another process is writing to this run.
        """
        self.folder = Path(run_dir).absolute() / FOLDER
        self.damaged: tuple[int, ...] = ()
        self._manager = self._lock = self._writing = None
        if write:
            self._lock = cluster.alone(self._take, f"opening {self.folder.parent}")
            self.damaged = tuple(int(path.suffix[1:]) for path in self.folder.glob("damaged.[0-9]*"))
            self._manager = _manager(self.folder, keep_latest, keep_best)

    def steps(self) -> tuple[int, ...]:
        """The steps that are complete, in rising order; what is being written is waited for."""
        if self._writing is not None:
            self._writing.join()
        return tuple(sorted(int(path.parent.name) for path in self.folder.glob(f"[0-9]*/{_MANIFEST}")))

    def best_step(self) -> int | None:
        """The step of the lowest rank, the later of equal ones; None when none was ranked."""
        return next((step for step in self._order("best") if self._extra(step)["rank"] is not None), None)

    def facts(self, step: int) -> dict[str, Any]:
        """What was saved beside the state of a step."""
        return self._extra(step)["facts"]

    def save(
        self,
        step: int,
        state: TrainState,
        rank: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Copies the state and starts to write it, after which steps neither among the latest nor the best are removed.

        Args:
          rank: what the best is chosen by, lower is better; None when nothing was evaluated at this step.
          facts: JSON kept beside the state: counters, the data's fingerprint.

        Raises:
          TrainingError: the disk is full or refuses, this time or when the step before was written; the text names the
            last step that is safe.
        """
        if self._manager is None:
            raise RunError("these checkpoints were opened for reading. Open them with write=True to save.")
        self.wait()
        rank = None if rank is None else float(rank) if math.isfinite(rank) else _WORST
        items = _items(state)
        extra = {"facts": dict(facts or {}), "rank": rank, "tree": tree_spec(items)}
        arguments = {name: ocp.args.StandardSave(item) for name, item in items.items()}
        try:
            self._check_space(sum(leaf.nbytes for leaf in jax.tree.leaves(items)))
            self._manager.save(
                step,
                args=ocp.args.Composite(**arguments, extra=ocp.args.JsonSave(extra)),
                metrics={"rank": _UNRANKED if rank is None else rank},
                force=True,
            )
        except Exception as error:  # orbax and tensorstore raise many kinds for one full disk
            self._clear()
            raise self._failure(step, error) from error
        self._writing = _Writing(step, self._manager, self.folder)

    def wait(self) -> None:
        """Waits until what was saved last is on disk.

        Raises:
          TrainingError: it could not be written.
        """
        self._wait(together=True)

    def _wait(self, together: bool) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        writing.join()
        if together:
            cluster.wait("checkpoint")
        self._clear()
        if writing.error is not None:
            raise self._failure(writing.step, writing.error) from writing.error

    def restore(self, abstract: TrainState, which: Which = "latest") -> TrainState:
        """Reads a whole state, as NumPy arrays.

        Args:
          abstract: a state of the same shapes and dtypes, of arrays or jax.ShapeDtypeStruct.
          which: "latest" or "best" pass over damaged steps with a warning; a number does not.

        Raises:
          CheckpointError: no such step, every candidate damaged, or another tree of parameters than `abstract`.
        """
        step = self._find(which)
        template = _items(jax.tree.map(_placeholder, abstract))
        self._compare(step, tree_spec(template))
        items = {name: self._read(step, name, item) for name, item in template.items()}
        rest = items["rest"]
        key = jax.random.wrap_key_data(rest["key"])
        return TrainState(
            rest["step"], items["params"], rest["opt_state"], key, items.get("ema"), rest["means"]
        )

    def restore_params(self, which: Which = "best") -> RestoredParams:
        """Reads the parameters to evaluate, without knowing their shapes; `which` and errors as in `restore`."""
        step = self._find(which)
        name = "ema" if (self.folder / str(step) / "ema").exists() else "params"
        return RestoredParams(step, self._read(step, name))

    def discard_after(self, step: int) -> None:
        """Removes the steps beyond `step`, which a run that goes on from there will write again."""
        if self._manager is None:
            raise RunError("these checkpoints were opened for reading. Open them with write=True.")
        later = [kept for kept in self.steps() if kept > step]
        cluster.wait("discard")
        for one in later:
            self._manager.delete(one)
        cluster.wait("discarded")
        self._clear()

    def close(self) -> None:
        """Waits for what is being written, and lets another process write to the run."""
        self._close(together=True)

    def _close(self, together: bool) -> None:
        def close_manager(kind: object, *error: object) -> None:
            try:
                cast(ocp.CheckpointManager, self._manager).close()
            except Exception:
                if kind is None and together:  # else it tells again what is told already
                    raise

        with contextlib.ExitStack() as stack:  # the last first, whatever becomes of the others
            if self._lock is not None:
                stack.callback(self._lock.close)
            if self._manager is not None:
                stack.callback(self._clear)
                stack.push(close_manager)
            self._wait(together)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._close(together=kind is None)  # after an error the other processes may be elsewhere

    def _take(self) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(self.folder.parent / "run.lock")
        self._clear()
        self._put_damaged_aside()
        return lock

    def _order(self, which: Which) -> list[int]:
        """Candidates, the most wanted first."""
        steps = list(reversed(self.steps()))
        if which == "latest":
            return steps
        if which == "best":
            ranks = {step: self._extra(step)["rank"] for step in steps}
            return sorted(steps, key=lambda step: math.inf if ranks[step] is None else ranks[step])
        return [which] if which in steps else []

    def _find(self, which: Which) -> int:
        candidates = self._order(which)
        for step in candidates:
            fault = _fault(self.folder / str(step))
            if fault is None:
                return step
            text = f"the checkpoint of step {step} is damaged: {self.folder / str(step) / fault}"
            if isinstance(which, int):
                raise CheckpointError(f"{text}. Use another of the steps {_listed(self.steps())}.")
            warnings.warn(f"{text}; the next one is taken", stacklevel=3)
        raise CheckpointError(
            f"no usable checkpoint {which!r} in {self.folder}; complete steps: {_listed(self.steps())}, damaged: "
            f"{_listed([*candidates, *self.damaged])}. Train the run, or name another one."
        )

    def _extra(self, step: int) -> dict[str, Any]:
        try:
            with ocp.Checkpointer(
                ocp.JsonCheckpointHandler(), multiprocessing_options=_by_itself()
            ) as reader:
                return reader.restore(self.folder / str(step) / "extra")
        except (OSError, ValueError):  # damaged: `_find` will say so; here it must only not be the best
            return {"facts": {}, "rank": None, "tree": {}}

    def _read(self, step: int, name: str, template: Any = None) -> Any:
        path, alone = self.folder / str(step) / name, _by_itself()
        handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
        with ocp.Checkpointer(handler, multiprocessing_options=alone) as reader:
            _check_size(path, handler)
            tree = self._shape(step, name) if template is None else template
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            return reader.restore(path, ocp.args.PyTreeRestore(item=template, restore_args=as_numpy))

    def _shape(self, step: int, name: str) -> Any:
        """The nested names of a saved item, such as "params"."""
        paths = (path.split("/") for path in self._extra(step)["tree"])
        return unflatten_dict({tuple(below): 0 for first, *below in paths if first == name})

    def _compare(self, step: int, wanted: Mapping[str, str]) -> None:
        faults = tree_differences(self._extra(step)["tree"], wanted)
        if faults:
            raise CheckpointError(
                f"the checkpoint of step {step} in {self.folder} is of another model; {faults}. "
                f"Use the settings of its experiment.json."
            )

    def _put_damaged_aside(self) -> None:
        for folder in self.folder.glob("[0-9]*"):
            if folder.name.isdigit() and not (folder / _MANIFEST).exists():
                _write_manifest(folder)  # killed between orbax's rename, which is atomic, and ours
            fault = _fault(folder) if folder.name.isdigit() else None
            if fault is not None:
                warnings.warn(f"damaged checkpoint put aside: {folder / fault}", stacklevel=4)
                aside = folder.with_name(f"damaged.{folder.name}")
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)

    def _clear(self) -> None:
        """Empties the trash, and removes what failed or killed saves left, which fills a full disk further.

        The threads of a failed save write on for a moment, into what is being removed: again then, for a second. What
        they bring back after that is removed by the next process that opens the run for writing.
        """
        if not cluster.first():
            return
        shutil.rmtree(self.folder / _TRASH, ignore_errors=True)
        for _ in range(20):
            unfinished = list(self.folder.glob("*.orbax-checkpoint-tmp*"))
            for folder in unfinished:
                shutil.rmtree(folder, ignore_errors=True)
            if not any(folder.exists() for folder in unfinished):
                return
            time.sleep(0.05)

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{needed:,} bytes needed, {free:,} free")

    def _failure(self, step: int, error: Exception) -> TrainingError:
        last = max((kept for kept in self.steps() if kept != step), default=None)
        safe = "there is no earlier one" if last is None else f"the last good one is of step {last}"
        return TrainingError(
            f"the checkpoint of step {step} could not be written to {self.folder}: {_cause(error)}; {safe}. "
            f"Free or allow space there, then resume."
        )


class _Writing(threading.Thread):
    """Follows a save until the step is whole, and then writes its sums.

    Attributes:
      error: why it could not be written; to be read when the thread has ended.
    """

    def __init__(self, step: int, manager: ocp.CheckpointManager, folder: Path) -> None:
        super().__init__(name=f"checkpoint of step {step}", daemon=True)
        self.step, self.error = step, None
        self._manager, self._folder = manager, folder
        self.start()

    def run(self) -> None:
        try:
            self._manager.wait_until_finished()
            if cluster.first():
                _write_manifest(self._folder / str(self.step))
        except Exception as error:  # orbax and tensorstore raise many kinds for one full disk
            self.error = error


def _by_itself() -> MultiprocessingOptions:
    """A process that reads asks no other."""
    number = jax.process_index()
    return MultiprocessingOptions(primary_host=number, active_processes={number})


def tree_spec(tree: Any) -> dict[str, str]:
    """Path, dtype and shape of every leaf: {"embedding/embedding": "float32[1000, 64]"}."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{leaf.dtype.name}{list(leaf.shape)}"
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def tree_differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """How two trees differ, as a phrase that lists the paths; empty when they do not."""
    missing = [f"{path} {wanted[path]}" for path in wanted if path not in found]
    unexpected = [f"{path} {found[path]}" for path in found if path not in wanted]
    others = [path for path in wanted if path in found and wanted[path] != found[path]]
    shapes = [f"{path} {found[path]} instead of {wanted[path]}" for path in others]
    groups = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return "; ".join(f"{name}: {_listed(paths)}" for name, paths in groups.items() if paths)


def _manager(folder: Path, keep_latest: int, keep_best: int) -> ocp.CheckpointManager:
    def rank(metrics: Mapping[str, float]) -> float:
        return metrics["rank"]

    options = ocp.CheckpointManagerOptions(
        preservation_policy=AnyPreservationPolicy(
            [LatestN(keep_latest), BestN(get_metric_fn=rank, reverse=True, n=keep_best)]
        ),
        best_fn=rank,  # without it orbax writes no metrics, and after a restart deletes the best
        best_mode="min",
        todelete_subdir=_TRASH,  # pruning by rename: a kill while deleting leaves no half step in the list
        enable_async_checkpointing=True,
    )
    return ocp.CheckpointManager(folder, options=options)


def _check_size(path: Path, handler: ocp.PyTreeCheckpointHandler) -> None:
    """Refuses arrays larger than this machine's memory before any is taken: packed, they may be a small file."""
    leaves = jax.tree.leaves(handler.metadata(cast(Any, path)).tree)
    needed = sum(
        math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in leaves if hasattr(leaf, "shape")
    )
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise CheckpointError(
            f"the arrays of {path} take {needed:,} bytes; this machine has {there:,} of memory. Open it on a larger "
            f"one, if you trust where it comes from."
        )


def _items(state: TrainState) -> dict[str, Any]:
    """The state in the parts that are read separately; as NumPy arrays, unless processes have parts of them."""
    key = state.key
    if isinstance(key, jax.Array):
        key = jax.random.key_data(key)
    rest = {"step": state.step, "opt_state": state.opt_state, "key": key, "means": state.means}
    items = {"params": state.params, "rest": rest} | ({} if state.ema is None else {"ema": state.ema})
    return items if cluster.several() else jax.tree.map(np.asarray, jax.device_get(items))


def _placeholder(leaf: Any) -> np.ndarray:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)  # of no size, whatever the shape


def _write_manifest(folder: Path) -> None:
    part = folder / f"{_MANIFEST}.part"
    part.write_text(json.dumps(_sums(folder), indent=0), encoding="utf-8")
    os.replace(part, folder / _MANIFEST)


def _sums(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _MANIFEST not in path.name]
    return {path.relative_to(folder).as_posix(): _sum(path) for path in files}


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(folder: Path) -> str | None:
    """The first file of a step that is not as it was written; None when all are."""
    try:
        written = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        found = _sums(folder)
    except (OSError, ValueError):
        return _MANIFEST
    names = written if isinstance(written, dict) else {}
    return next((name for name in {**names, **found} if names.get(name) != found.get(name)), None)


def _lock(path: Path) -> Any:
    """Takes the lock; the system drops it when the process dies, so that a stale one does not exist."""
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise RunError(
            f"{path.parent} is being written by {holder}. Wait for it, stop it, or use another folder."
        ) from error
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file


def _listed(items: Any, most: int = 6) -> str:
    items = [str(item) for item in items]
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more if items else "none"


def _cause(error: Exception) -> str:
    text = str(error)
    if "RESOURCE_EXHAUSTED" in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        room = text.rpartition("] ")[2] if isinstance(error, OSError) else ""
        return f"the disk is full{room and f', {room}'}"
    return f"{type(error).__name__}: {text.strip().partition(chr(10))[0][:300]}"
