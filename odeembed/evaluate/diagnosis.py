"""The known limits of the method, measured on a model: reversibility, uniqueness, gradients, and rows in a batch.

References:
  Zhuang et al. 2020, Adaptive Checkpoint Adjoint Method, section 3, for what a path solved backward does to a gradient;
  Dupont et al. 2019, Augmented Neural ODEs, section 2, for what paths that cannot meet cannot do.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.batch import Batch
from odeembed.errors import ConfigError, DataError, DerivativeError, RunError
from odeembed.solve.config import Adjoint
from odeembed.solve.neural_ode import Path
from odeembed.solve.solve import solve
from odeembed.solve.tableau import column
from odeembed.solve.timeline import wait_where_masked

_MOST = 256  # paths of one field that are looked at
_ITERATIONS = 24  # of the power method
_STATES = {
    "replay": "not in its gradient: the steps are recorded and taken again",
    "direct": "not in its gradient: every state is stored",
    "recursive": "not in its gradient: states are stored, or computed again from stored ones",
    "reversible": "not in its gradient: each step is undone by algebra, up to rounding",
    "backsolve": "this is in its gradient, taken along the path solved backward",
}
_OTHER_STEPS = {
    "recursive": "adaptive steps are diffrax's own",
    "reversible": "its steps go from a second copy of the state",
}


class Figure(NamedTuple):
    """A number measured, NaN where there is none, and in one line what it says or why it is missing."""

    name: str
    value: float
    meaning: str


class Separation(NamedTuple):
    """How near pairs of paths of one field come to each other.

    Attributes:
      ratio: the smallest |y1(t) - y2(t)| / |y1(t0) - y2(t0)| of any pair at any time.
      elapsed: |t - t0| at that place.
      rate: the largest -log(ratio) / |t - t0|; with a field of Lipschitz constant L it is at most L.

    References:
      Gronwall's inequality, run backward in time from t: |y1(t0) - y2(t0)| <= exp(L |t - t0|) |y1(t) - y2(t)|.
    """

    ratio: float
    elapsed: float
    rate: float


def diagnose(
    model: Any, params: Any, batch: Batch, under: Callable[[str], Any], rows: int = 8
) -> Iterator[Figure]:
    """Measures a model on the first `rows` sentences of a batch, all their tokens visible; yields as it goes.

    Args:
      model: gives `states`, `stats` and `failed` for a batch; its solves sow a `Path`.
      under: the model with another gradient method, by the method's name.

    Raises:
      RunError: the model solves no equation; DataError: the batch holds no sentence.
    """
    real = np.flatnonzero(np.asarray(batch.index) >= 0)[:rows]
    if not real.size:
        raise DataError(f"a diagnosis needs at least one sentence; got {rows} rows of an empty batch.")
    batch = jax.tree.map(lambda x: np.asarray(x)[real], batch)
    paths = {name: moving(path) for name, path in paths_of(model, params, batch).items()}
    if not paths:
        raise RunError(
            "the model solves no equation, so there is nothing to diagnose. Name a run of a model with a vector field."
        )
    for name, path in paths.items():
        yield from _uniqueness(name, path)
    yield from _reversibility(list(paths.values()))
    yield from _gradients(params, batch, under)
    yield from _minibatching(model, params, batch)


def paths_of(model: Any, params: Any, batch: Batch) -> dict[str, Path]:
    """The solves inside a model, by their place in it."""
    sown = jax.jit(lambda p: model.apply({"params": p}, batch, mutable=["intermediates"])[1])(params)
    leaves, _ = jax.tree_util.tree_flatten_with_path(sown, is_leaf=lambda x: isinstance(x, Path))
    places = (([key.key for key in keys if hasattr(key, "key")][1:], leaf) for keys, leaf in leaves)
    return {".".join(place): leaf for place, leaf in places if isinstance(leaf, Path)}


def moving(path: Path, most: int = _MOST) -> Path:
    """The rows of a path along which time passes, evenly chosen where there are many; masked times stand still."""
    ts = path.ts if path.mask is None else wait_where_masked(path.ts, path.mask)
    rows = np.flatnonzero(np.asarray(ts[:, 0] != ts[:, -1]))
    rows = rows[np.linspace(0, rows.size - 1, min(rows.size, most)).astype(int)]
    y0, ts, context = jax.tree.map(lambda x: x[rows], (path.y0, ts, path.context))
    return dataclasses.replace(path, y0=y0, ts=ts, mask=None, context=context)


def return_errors(path: Path, adjoint: Adjoint) -> Any:
    """|y0' - y0| / |y0| [r], y0' being y0 solved forward to the end and from there backward; NaN in a failed row.

    Raises:
      ConfigError: the gradient method does not go with the path's other settings.
    """
    return _return_errors(dataclasses.replace(path, config=_under(path.config, adjoint)))


def separation(path: Path) -> Separation:
    """Solves each row a second time from the start of the row before it, and measures how near the two come.

    Both go by the row's own times and context, so that they are two solutions of one equation; pairs that start
    together are left out.
    """
    ratio, elapsed = (np.asarray(x, np.float64) for x in _ratios(path))
    there = (elapsed > 0) & np.isfinite(ratio)
    if not there.any():
        return Separation(math.nan, math.nan, math.nan)
    ratio, elapsed = ratio[there], elapsed[there]
    with np.errstate(divide="ignore"):
        rate = -np.log(ratio) / elapsed
    return Separation(float(ratio.min()), float(elapsed[ratio.argmin()]), float(rate.max()))


def lipschitz_bound(path: Path) -> tuple[float, float]:
    """The field's own bound on a cube that holds the path's states, inf where it knows none; and the cube's radius."""
    radius = max(1.0, float(_largest_entry(path)))
    if not hasattr(path.field, "lipschitz"):
        return math.inf, radius
    bound: Any = path.field.apply(path.variables, radius, method="lipschitz")
    return float(bound), radius


@jax.jit
def steepest(path: Path) -> Any:
    """The largest singular value of df/dy at the path's starts, from below by the power method."""
    t = path.ts[:, 0]

    def field(y):
        return path.field.apply(path.variables, column(t, y), y, path.context)

    _, transposed = jax.vjp(field, path.y0)

    def unit(v):
        return v / column(jnp.maximum(_norm(v), 1e-30), v)

    def onward(v, _):
        return unit(transposed(jax.jvp(field, (path.y0,), (v,))[1])[0]), None

    start = unit(jax.random.normal(jax.random.key(0), path.y0.shape, path.y0.dtype))
    v, _ = jax.lax.scan(onward, start, length=_ITERATIONS)
    return jnp.max(_norm(jax.jvp(field, (path.y0,), (v,))[1]))


def gradient(model: Any, params: Any, batch: Batch, weights: Any) -> Any:
    """The gradient by all parameters of sum(weights * states), as one float64 vector."""

    @jax.jit
    def slopes(params, batch, weights):
        return jax.grad(lambda p: jnp.sum(weights * model.apply({"params": p}, batch).states))(params)

    found = jax.tree.leaves(slopes(params, batch, weights))
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in found])


def _uniqueness(name: str, path: Path) -> Iterator[Figure]:
    bound, radius = lipschitz_bound(path)
    kind = type(path.field).__name__
    yield Figure(
        f"{name} lipschitz",
        bound,
        f"bound L of |f(t, y1) - f(t, y2)| / |y1 - y2| while all |y_i| <= {radius:.3g}, by spectral norms"
        if math.isfinite(bound)
        else f"no bound is known of {kind}, see {kind}.lipschitz: uniqueness is not guaranteed",
    )
    yield Figure(f"{name} steepest", float(steepest(path)), "largest |df/dy| met, at the starts of the paths")
    near = separation(path)
    yield Figure(
        f"{name} nearest",
        near.ratio,
        "distance of two paths over that at their start, the smallest met; at 0 they meet",
    )
    yield Figure(
        f"{name} floor",
        math.exp(-bound * near.elapsed) if math.isfinite(near.elapsed) else math.nan,
        "exp(-L |t - t0|) there: below it no two solutions can come",
    )


def _reversibility(paths: list[Path]) -> Iterator[Figure]:
    for adjoint in get_args(Adjoint):
        try:
            errors = np.concatenate([np.asarray(return_errors(path, adjoint)) for path in paths])
        except (ConfigError, DerivativeError) as error:
            yield Figure(f"return {adjoint}", math.nan, _one_line(error))
            continue
        failed = int(np.isnan(errors).sum())
        yield Figure(
            f"return {adjoint}",
            float(np.nanmax(errors)) if failed < errors.size else math.nan,
            f"|y0' - y0| / |y0| after a solve forward and one backward, the largest; {_STATES[adjoint]}"
            + (f"; {failed} of {errors.size} paths failed" if failed else ""),
        )


def _gradients(params: Any, batch: Batch, under: Callable[[str], Any]) -> Iterator[Figure]:
    shape = jax.eval_shape(lambda p: under("direct").apply({"params": p}, batch).states, params).shape
    weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    weights *= _read(np.asarray(batch.mask), shape[1])[..., None]
    with jax.enable_x64(True):
        double = jax.tree.map(_as_float64, (params, batch, weights))
        truth = gradient(under("direct"), *double)
    for adjoint in get_args(Adjoint):
        try:
            found = gradient(under(adjoint), params, batch, weights)
        except (ConfigError, DerivativeError) as error:
            yield Figure(f"gradient {adjoint}", math.nan, _one_line(error))
            continue
        error = float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
        meaning = "|g - g64| / |g64| of a random reading, g64 by direct in float64"
        if adjoint in _OTHER_STEPS:
            meaning += f"; {_OTHER_STEPS[adjoint]}, so the solution is another too"
        yield Figure(f"gradient {adjoint}", error, meaning)


def _minibatching(model: Any, params: Any, batch: Batch) -> Iterator[Figure]:
    run = jax.jit(lambda batch: model.apply({"params": params}, batch))
    together = run(batch)
    states = np.asarray(together.states)
    real = _read(np.asarray(batch.mask), states.shape[1])
    scale = math.sqrt(np.mean(np.square(states[real])))
    difference, other_steps = 0.0, 0
    for i in range(real.shape[0]):
        alone = run(jax.tree.map(lambda x, i=i: x[i : i + 1], batch))
        apart = np.abs(np.asarray(alone.states)[0] - states[i])[real[i]]
        difference = max(difference, float(apart.max()) / scale)
        other_steps += any(
            int(alone.stats[name][0]) != int(together.stats[name][i]) for name in together.stats
        )
    failed = int(np.asarray(together.failed).sum())
    yield Figure(
        "batch difference",
        difference,
        "of a row's readings alone and in the batch, the largest over their rms",
    )
    yield Figure(
        "batch steps", other_steps, f"of {real.shape[0]} rows take other steps alone than in the batch"
    )
    yield Figure("failed", failed, f"of {real.shape[0]} rows have a solve that failed")


def _read(mask, count):
    """bool [b, count], which states are read: those of the real tokens, and of a decoder that of the end too.

    A model that reads a row once has one state.
    """
    if count < mask.shape[1]:
        return np.ones((mask.shape[0], count), bool)
    return np.pad(mask, ((0, 0), (count - mask.shape[1], 0)), constant_values=True)


def _under(config, adjoint):
    return dataclasses.replace(config, adjoint=adjoint)


def _solved(path, y0, ts):
    def field(variables, t, y, context):
        return path.field.apply(variables, t, y, context)

    return solve(field, path.variables, y0, ts, path.config, path.context)


@jax.jit
def _return_errors(path):
    there = _solved(path, path.y0, path.ts)
    back = _solved(path, there.ys[:, -1], jnp.flip(path.ts, axis=1))
    error = _norm(back.ys[:, -1] - path.y0) / _norm(path.y0)
    return jnp.where(there.failed | back.failed, jnp.nan, error)


@jax.jit
def _ratios(path):
    """|y1 - y2| over that at the start, [r, n], and the time since; NaN where there is no pair."""
    other = jnp.roll(path.y0, 1, axis=0)
    one, two = (_solved(path, y0, path.ts) for y0 in (path.y0, other))
    apart = jax.vmap(_norm, in_axes=1, out_axes=1)(one.ys - two.ys)
    wrong = one.failed | two.failed | (apart[:, 0] == 0)
    ratio = jnp.where(wrong[:, None], jnp.nan, apart / apart[:, :1])
    return ratio, jnp.abs(path.ts - path.ts[:, :1])


@jax.jit
def _largest_entry(path):
    return jnp.nanmax(jnp.abs(_solved(path, path.y0, path.ts).ys))


def _norm(y):
    """The 2-norm [r] of each row's state."""
    return jnp.sqrt(jnp.sum(jnp.square(y), axis=tuple(range(1, y.ndim))))


def _as_float64(x):
    x = np.asarray(x)
    return jnp.asarray(x, jnp.float64) if np.issubdtype(x.dtype, np.floating) else x


def _one_line(error):
    return " ".join(str(error).split())
