"""How good a density is, and whether it is one: distance to the truth where it is known, mass, invertibility."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from odeembed.data.densities import ToyDensity
from odeembed.models.flow import ContinuousFlow

_BLOCK = 4096  # points solved for together

Points = Float[np.ndarray, "n d"]


@dataclass(frozen=True)
class Densities:
    """Measures a `DensityEstimator`'s run on the test split.

    Attributes:
      rtol: tolerance, relative and absolute, of the solves below that are said to be fine.
      grid: points a side of the square on which a density of the plane is summed.
      reach: half that square's side, in units of the data.
      points: how many of the split are carried to the base and back.
    """

    rtol: float = 1e-6
    grid: int = 300
    reach: float = 8.0
    points: int = 2000

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns density/... numbers.

        nats: minus the log-density of a test point, by the fine solve. truth: the same of the density that the points
        were drawn from, and divergence: the difference, an estimate of KL(truth || model). mass: the density summed
        over the square. inverse and fine_inverse: the largest distance of a coordinate from where it was after the way
        to the base and back, by the solver of the run and by the fine one. evaluations: of the field, for one point, by
        the fine solve.
        """
        model, data, x = run.model, run.experiment.data, run.dataset.points["test"]
        fine, continuous = model, isinstance(model.flow, ContinuousFlow)
        if continuous:
            fine = run.with_solver(solver="dopri5", rtol=self.rtol, atol=self.rtol, max_steps=2000).model
        found = log_densities(fine, run.params, x)
        numbers = {"nats": -float(found.log_prob.mean())}
        if isinstance(data.test, ToyDensity) and not data.standardised:
            truth = -float(data.test.log_density(x).mean())
            numbers |= {"truth": truth, "divergence": numbers["nats"] - truth}
        if model.width == 2:
            numbers["mass"] = self._mass(fine, run.params)
        if continuous:
            numbers["inverse"] = inverse_error(model, run.params, x[: self.points])
            numbers["fine_inverse"] = inverse_error(
                fine, run.params, x[: self.points], found.base[: self.points]
            )
            numbers["evaluations"] = float(found.evaluations.mean())
        return {f"density/{name}": value for name, value in numbers.items()}

    def _mass(self, model: Any, params: Any) -> float:
        """By the midpoint rule."""
        side = 2 * self.reach / self.grid
        axis = (np.arange(self.grid) + 0.5) * side - self.reach
        square = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2).astype(np.float32)
        return float(np.exp(log_densities(model, params, square).log_prob.astype(np.float64)).sum() * side**2)


class Measured(NamedTuple):
    """log_prob [n] in nats, the bases [n, d] of the points, and the evaluations [n] of the field that it took."""

    log_prob: Float[np.ndarray, " n"]
    base: Points
    evaluations: Float[np.ndarray, " n"]


def log_densities(model: Any, params: Any, x: Points) -> Measured:
    """The density of a `DensityEstimator` at points, by the exact trace."""
    found = _in_blocks(lambda x: _compiled(model, "log_prob")(params, x), x)
    evaluations = found.stats.get("evaluations", np.zeros(len(x)))
    return Measured(found.log_prob, found.base, np.asarray(evaluations, np.float64))


def inverse_error(model: Any, params: Any, x: Points, base: Points | None = None) -> float:
    """The largest distance of a coordinate from where it was, after the way to the base, unless given, and back."""
    if base is None:
        base = log_densities(model, params, x).base
    back = _in_blocks(lambda base: _compiled(model, "forward")(params, base), base)
    return float(np.abs(back.x - x).max())


def drawn(model: Any, params: Any, count: int, seed: int = 0) -> Points:
    """Points drawn from a model, each by its number and the seed alone."""
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(_compiled(model, "sample")(params, keys).x)


def _in_blocks(solve: Callable[[Points], Any], x: Points) -> Any:
    """What is found for all points, block by block; the last one is filled up, so that one shape is compiled."""
    rows = min(_BLOCK, len(x))
    filled = np.concatenate([x, np.zeros((-len(x) % rows, x.shape[1]), x.dtype)])
    found = [jax.device_get(solve(block)) for block in np.split(filled, len(filled) // rows)]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(x)], *found)


@functools.lru_cache(maxsize=8)
def _compiled(model: Any, method: str) -> Callable[..., Any]:
    return jax.jit(lambda params, x: model.apply({"params": params}, x, method=method))
