"""What is compiled, how often and how long it takes; and the cache that keeps programs between processes."""

import hashlib
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from odeembed.batch import Batch

CACHE_BYTES = 2 * 1024**3


class Compiled:
    """The mapped step, compiled ahead of time for each batch shape it meets, so that every compilation is counted.

    Attributes:
      seconds: time spent tracing and compiling.
      step_bytes: memory of the largest compiled step on one device: state, batch and temporaries; 0 if unknown.
    """

    def __init__(self, mapped: Any, announce: Callable[[str], object] = lambda text: None) -> None:
        self._mapped = mapped
        self._announce = announce
        self._programs: dict[Any, Any] = {}
        self.seconds = 0.0
        self.step_bytes = 0

    @property
    def compilations(self) -> int:
        """How many programs were compiled: one a batch shape."""
        return len(self._programs)

    def program(self, state: Any, batch: Batch) -> Any:
        """The compiled step for batches of this shape."""
        leaves, tree = jax.tree.flatten(batch)
        shapes = tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if shapes not in self._programs:
            self._programs[shapes] = self._compile(state, batch)
        return self._programs[shapes]

    def _compile(self, state: Any, batch: Batch) -> Any:
        self._announce(f"compiling the step for batches of shape {'x'.join(map(str, batch.mask.shape))}")
        start = time.perf_counter()
        program = self._mapped.lower(state, batch).compile()
        self.seconds += time.perf_counter() - start
        self.step_bytes = max(self.step_bytes, _bytes(program))
        return program


def _bytes(program: Any) -> int:
    memory = program.memory_analysis()
    if memory is None:
        return 0
    used = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
    return int(used - memory.alias_size_in_bytes)


def enable_compilation_cache(folder: Path | None = None, max_bytes: int = CACHE_BYTES) -> Path | None:
    """Lets jax keep compiled programs between processes; returns the folder, or None when it stays off.

    The environment variable ODEEMBED_COMPILE_CACHE=0 turns it off; a folder that jax was already told of stays.
    The oldest programs beyond `max_bytes` are removed here: jax's own limit needs a further package.

    Args:
      folder: by default `jax` under $ODEEMBED_CACHE or ~/.cache/odeembed. Programs lie in a subfolder named after the
        processor, since one compiled for another processor's instructions can crash on this one.
    """
    if os.environ.get("ODEEMBED_COMPILE_CACHE") == "0":
        return None
    known: str | None = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if known:
        return Path(known)
    root = Path(os.environ.get("ODEEMBED_CACHE") or Path.home() / ".cache" / "odeembed")
    folder = (folder or root / "jax") / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written costs time, not the run
        return None
    _prune(folder, max_bytes)
    compilation_cache.reset_cache()  # jax looks at the setting once, at the first program it compiles
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else [platform.processor()]
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    return f"{platform.machine()}-{hashlib.sha256(repr(features or lines[:1]).encode()).hexdigest()[:8]}"


def _prune(folder: Path, max_bytes: int) -> None:
    kept = 0
    for _, size, file in sorted(_files(folder), reverse=True):
        kept += size
        if kept > max_bytes:
            Path(file).unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[float, int, str]]:
    found = []
    for entry in os.scandir(folder):
        try:
            found.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        except FileNotFoundError:  # removed by another process meanwhile
            continue
    return found
