"""What each gradient method costs and how exact it is: memory, time and error, over steps and over tolerance."""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from odeembed.errors import ConfigError
from odeembed.fields.gru import GRUField
from odeembed.solve.config import Adjoint, SolveConfig, Solver
from odeembed.solve.solve import solve

Row = Mapping[str, Any]

_TIED = 1.05  # times the best: what is called as good
_EXACT = 1e-9  # of a float64 gradient: more than rounding, less than any tolerance
_FINE = 4096  # steps of rk4 that stand for the truth; their own error is near 1e-12
_SAMPLE = 0.02  # seconds of CPU time that a sample takes at least
_END = 4.0  # of the path, in tokens
_SCALE = 2.0  # of the field's weights, over those at the start of training: a field with something to solve


@dataclasses.dataclass(frozen=True)
class Lab:
    """What is measured: a GRU-ODE from t = 0 to 4, and the gradient of a linear function of its end.

    Attributes:
      batch, width: of the state, [b, d].
      grid: steps of the grids.
      rtols: relative tolerances of the adaptive solves, by row; the absolute one is a tenth.
      grid_solver, solver: methods on a grid and with adaptive steps.
      max_steps: of an adaptive solve; `direct` keeps as many.
      repeats: samples of time, of which the median is told.
      most_bytes: temporary memory beyond which a gradient is compiled and not run.
    """

    batch: int = 32
    width: int = 64
    grid: tuple[int, ...] = (8, 64, 512, 4096)
    rtols: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    grid_solver: Solver = "midpoint"
    solver: Solver = "dopri5"
    max_steps: int = 256
    repeats: int = 5
    most_bytes: int = 2 << 30

    def __post_init__(self):
        for name in ("batch", "width", "max_steps", "repeats", "most_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1; got {getattr(self, name)}.")

    def cases(self) -> Iterator[SolveConfig]:
        """Every solve, differentiated by replay."""
        for steps in self.grid:
            yield SolveConfig(solver=self.grid_solver, steps=steps)
        for rtol in self.rtols:
            yield SolveConfig(
                solver=self.solver, steps=None, rtol=rtol, atol=rtol / 10, max_steps=self.max_steps
            )


QUICK = Lab(batch=8, width=16, grid=(8, 256), rtols=(1e-2, 1e-4), repeats=3)


class _Gradient:
    """Value and gradient by one method, compiled, of a loss of the parameters and the state at the start."""

    def __init__(self, lab: Lab, config: SolveConfig, dtype: Any, timed: bool = False):
        # The same numbers in either precision.
        field, keys = GRUField(), jax.random.split(jax.random.key(0), 3)
        y0, weights = (jax.random.normal(key, (lab.batch, lab.width), jnp.float32) for key in keys[:2])
        y0 = jnp.tanh(y0)
        params = jax.tree.map(lambda w: _SCALE * w, field.init(keys[2], 0.0, y0))
        params, y0, weights = jax.tree.map(lambda x: x.astype(dtype), (params, y0, weights))
        ts = jnp.array([0.0, _END], dtype)

        def loss(params, y0):
            flow = lambda p, t, y, context: field.apply(p, t, y)  # noqa: E731
            solution = solve(flow, params, y0, ts, config)
            return jnp.sum(weights * solution.ys[:, -1]) / lab.batch, solution

        self.arguments = (params, y0)
        begin = time.process_time()
        with _compiled_anew() if timed else contextlib.nullcontext():
            lowered = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True)).lower(*self.arguments)
            self.program = lowered.compile()
        self.compile_seconds = time.process_time() - begin
        memory = self.program.memory_analysis()
        self.bytes = None if memory is None else int(memory.temp_size_in_bytes)

    def run(self) -> Any:
        """Loss, solution and gradient."""
        return jax.block_until_ready(self.program(*self.arguments))

    def seconds(self, repeats: int) -> float:
        """CPU seconds of a gradient."""
        begin = time.process_time()
        self.run()
        calls = math.ceil(_SAMPLE / max(time.process_time() - begin, 1e-6))
        samples = []
        for _ in range(repeats):
            begin = time.process_time()
            for _ in range(calls):
                self.run()
            samples.append((time.process_time() - begin) / calls)
        return median(samples)


def measure(
    lab: Lab | None = None,
    methods: Sequence[str] = get_args(Adjoint),
    say: Callable[[str], object] = lambda line: None,
) -> list[dict[str, Any]]:
    """Measures every method on every grid and at every tolerance; a row each.

    A row has `method`, `solver`, `steps` or `rtol` (the other is None), and `skipped`: None, or the reason why what
    follows is not there or not whole. Then `bytes`, temporary memory; `seconds`, CPU time of a gradient;
    `compile_seconds`, CPU time to lower and compile it; `evaluations` of the field, forward, on average over the
    batch; and of the gradient by parameters and initial state as one vector, relative to its norm:

    - `error`: of the float32 gradient from the true one, which is that of a fine grid in float64;
    - `rounding`: of the float32 gradient from the same method's in float64;
    - `inexactness`: of the float64 gradient from that of the discrete solution, which `replay` gives. None where a
      method solves by another scheme, so that its loss is not that of `replay`.
    """
    lab = Lab() if lab is None else lab
    with jax.enable_x64(True):
        true = _found(_Gradient(lab, SolveConfig(solver="rk4", steps=_FINE), jnp.float64).run())
    rows = []
    for case in lab.cases():
        with jax.enable_x64(True):
            discrete = _found(_Gradient(lab, case, jnp.float64).run())
        for method in methods:
            rtol = case.rtol if case.steps is None else None
            row = {"method": method, "solver": case.solver, "steps": case.steps, "rtol": rtol}
            rows.append(row | _measured(lab, case, method, discrete, true))
            say(_told(rows[-1]))
    return rows


def _measured(lab: Lab, case: SolveConfig, method: Any, discrete: Any, true: Any) -> dict[str, Any]:
    try:
        config = dataclasses.replace(case, adjoint=method)
        single = _Gradient(lab, config, jnp.float32, timed=True)
    except (ConfigError, NotImplementedError) as refused:
        return {"skipped": str(refused)}
    row: dict[str, Any] = {"bytes": single.bytes, "compile_seconds": single.compile_seconds}
    if (single.bytes or 0) > lab.most_bytes:
        wanted = f"{single.bytes / 2**20:,.0f} MiB"  # pyright: ignore[reportOptionalOperand]
        return row | {"skipped": f"needs {wanted}, more than the {lab.most_bytes / 2**20:,.0f} MiB allowed"}
    (_, solution), _ = out = single.run()
    gradient = _found(out)[1]
    if np.any(solution.failed):
        return row | {
            "skipped": f"status {int(np.max(solution.status))} in {int(np.sum(solution.failed))} rows"
        }
    if not np.isfinite(gradient).all():
        return row | {"skipped": "the gradient is not finite"}
    loss, double = discrete
    if config.adjoint != "replay":
        with jax.enable_x64(True):
            loss, double = _found(_Gradient(lab, config, jnp.float64).run())
    same = abs(loss - discrete[0]) <= 1e-12 * abs(discrete[0])
    return row | {
        "skipped": None,
        "seconds": single.seconds(lab.repeats),
        "evaluations": float(np.mean(solution.stats["evaluations"])),
        "error": _off(gradient, true[1]),
        "rounding": _off(gradient, double),
        "inexactness": _off(double, discrete[1]) if same else None,
    }


def advice(rows: Sequence[Row]) -> str:
    """One line: which method to take for time, for memory and for exactness, by what was measured.

    Time is the mean over the cases of the ratio to the fastest method there; memory, what the longest grid takes over
    the shortest; a method is exact where its float64 gradient is that of the discrete solution in every case.

    Raises:
      ConfigError: no method was measured.
    """
    done = [row for row in rows if not row["skipped"]]
    if not done:
        raise ConfigError(
            "no method was measured, so there is none to advise. Raise most_bytes or max_steps."
        )
    parts = [_by_time(done)]
    parts += [part for part in (_by_memory(rows), _by_exactness(done)) if part]
    return "; ".join(parts) + "."


def _by_time(done: Sequence[Row]) -> str:
    fastest: dict[Any, float] = {}
    for row in done:
        fastest[_case(row)] = min(fastest.get(_case(row), math.inf), row["seconds"])
    # A method that was left out of a case is compared where it was not; one left out of most has too little to say.
    logs: dict[str, list[float]] = {}
    for row in done:
        logs.setdefault(row["method"], []).append(math.log(row["seconds"] / fastest[_case(row)]))
    most = max(map(len, logs.values()))
    ratios = {name: math.exp(fmean(found)) for name, found in logs.items() if 2 * len(found) >= most}
    names = _best(ratios)
    return f"for time take {_or(names)} ({ratios[names[0]]:.2f} times the fastest, on average)"


def _by_memory(rows: Sequence[Row]) -> str | None:
    """Where memory grows least, and among equals of that where it is least."""
    sizes: dict[str, dict[int, int]] = {}
    for row in rows:
        if row["steps"] is not None and row.get("bytes"):
            sizes.setdefault(row["method"], {})[row["steps"]] = row["bytes"]
    short = min((min(found) for found in sizes.values()), default=0)
    long = max((max(found) for found in sizes.values()), default=0)
    growths = {
        name: found[long] / found[short] for name, found in sizes.items() if short in found and long in found
    }
    if short == long or not growths:
        return None
    names = _best({name: sizes[name][long] for name in _best(growths)})
    growth = growths[names[0]]
    return f"for memory {_or(names)} ({growth:.2f} times as much at {long} steps as at {short})"


def _by_exactness(done: Sequence[Row]) -> str | None:
    worst: dict[str, float] = {}
    for row in done:
        if row["inexactness"] is not None:
            worst[row["method"]] = max(worst.get(row["method"], 0.0), row["inexactness"])
    exact = [name for name, off in worst.items() if off <= _EXACT]
    others = [f"{name} (off by up to {off:.0e})" for name, off in worst.items() if off > _EXACT]
    told = f"for the gradient of the steps that were taken {_or(exact)}" if exact else ""
    told += (", and not " if exact else "no gradient of the steps that were taken is ") if others else ""
    return told + _or(others) if told else None


def _best(values: Mapping[str, float | int]) -> list[str]:
    """The names with the smallest value, or one as good; the smallest first."""
    order = sorted(values, key=lambda name: values[name])
    return [name for name in order if values[name] <= _TIED * values[order[0]]]


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _case(row: Row) -> tuple[Any, Any]:
    return row["steps"], row["rtol"]


def _found(out: Any) -> tuple[float, np.ndarray]:
    """The loss, and the gradient as one vector."""
    (loss, _), gradient = out
    return float(loss), np.concatenate(
        [np.ravel(leaf).astype(np.float64) for leaf in jax.tree.leaves(gradient)]
    )


def _off(gradient: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(gradient - reference) / np.linalg.norm(reference))


def _told(row: Row) -> str:
    case = f"rtol {row['rtol']:.0e}" if row["steps"] is None else f"{row['steps']} steps"
    if row["skipped"]:
        return f"{row['method']}, {case}: {row['skipped']}"
    return f"{row['method']}, {case}: {1000 * row['seconds']:.1f} ms, error {row['error']:.0e}"


@contextlib.contextmanager
def _compiled_anew() -> Iterator[None]:
    """Without the programs that are kept between processes, whose time to compile would be that to read them."""
    kept: bool = jax.config.jax_enable_compilation_cache  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # jax looks at the setting once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", kept)
        compilation_cache.reset_cache()
