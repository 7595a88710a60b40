"""How good a classifier is beyond its error: calibration, what its solves cost, and its error by their exactness."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float, Int
from scipy.stats import mannwhitneyu

from odeembed.batch import Batch
from odeembed.solve.config import SolveConfig


class Effort(NamedTuple):
    """What a trained model makes of the same examples when its solves are less or more exact.

    Attributes:
      setting: "rtol" (with as large an atol) or "steps"; value: what it was set to.
      error: share of labels missed.
      evaluations: of the field, for one example.
      milliseconds: wall time an example, of the fastest pass; NaN where none was timed.
      failed: share of examples whose solve failed.
    """

    setting: str
    value: float
    error: float
    evaluations: float
    milliseconds: float
    failed: float


@dataclasses.dataclass(frozen=True)
class LabelScores:
    """Measures a classifier's run on the test split.

    Attributes:
      bins: of confidence, for the calibration.
      rtols, steps: what adaptive steps, or grids, are set to for the error by exactness.
      examples: how many of the split are classified at each of these.
    """

    bins: int = 15
    rtols: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4)
    steps: tuple[int, ...] = (1, 2, 4, 8, 16)
    examples: int = 2000

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns labels/... numbers.

        calibration: the expected calibration error. auc: of two classes, the area under the curve of true over false
        positives of class 1. forward, backward: how often the field is asked for the loss of a
        batch, and again for its gradient. error/rtol=0.01, evaluations/rtol=0.01 and so on: see `Effort`.
        """
        logits, target, _ = classified(run.model, run.params, run.dataset.evaluation("test"))
        numbers = {"calibration": calibration_error(logits, target, self.bins)}
        if logits.shape[1] == 2:
            numbers["auc"] = area_under_curve(logits[:, 1] - logits[:, 0], target)
        if solves(run.model) is not None:
            batch = run.dataset.batch(0)
            forward, backward = asked(run.model, run.experiment.objective, run.params, batch)
            numbers |= {"forward": float(forward), "backward": float(backward)}
        for effort in self.efforts(run, passes=0):
            key = f"{effort.setting}={effort.value:g}"
            numbers |= {f"error/{key}": effort.error, f"evaluations/{key}": effort.evaluations}
        return {f"labels/{name}": value for name, value in numbers.items()}

    def efforts(self, run: Any, passes: int = 3) -> list[Effort]:
        """The same parameters under less and more exact solves, timed so often; none of a model that solves nothing."""
        config = solves(run.model)
        if config is None:
            return []
        settings = (
            [("rtol", rtol, {"rtol": rtol, "atol": rtol}) for rtol in self.rtols]
            if config.steps is None
            else [("steps", steps, {"steps": steps}) for steps in self.steps]
        )
        batches = list(_first(run.dataset.evaluation("test"), self.examples))
        return [
            Effort(setting, value, *_measured(run.with_solver(**changed).model, run.params, batches, passes))
            for setting, value, changed in settings
        ]


def classified(
    model: Any, params: Any, batches: Iterable[Batch]
) -> tuple[Float[np.ndarray, "n c"], Int[np.ndarray, " n"], Any]:
    """Logits, labels, and the rest of the output, leaves [n], of the real rows of batches."""
    forward, found = _compiled(model), []
    for batch in batches:
        real = np.asarray(batch.index) >= 0
        out = jax.device_get(forward(params, batch))
        found.append(
            jax.tree.map(lambda leaf, real=real: leaf[real], (out.logits, np.asarray(batch.target), out))
        )
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def calibration_error(
    logits: Float[np.ndarray, "n c"], target: Int[np.ndarray, " n"], bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy over bins of confidence of equal width, weighted by their examples.

    References:
      Guo et al. 2017, On Calibration of Modern Neural Networks, eq. (3).
    """
    logits = logits.astype(np.float64)
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    confidence = exponents.max(axis=-1) / exponents.sum(axis=-1)
    right = logits.argmax(axis=-1) == target
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(places, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(target))


def area_under_curve(score: Float[np.ndarray, " n"], target: Int[np.ndarray, " n"]) -> float:
    """How often an example of class 1 has a higher score than one of class 0, ties counted half; NaN without both.

    References:
      Hanley and McNeil 1982, The Meaning and Use of the Area under a Receiver Operating Characteristic Curve.
    """
    ones, zeros = score[target == 1], score[target == 0]
    if not len(ones) or not len(zeros):
        return math.nan
    return float(mannwhitneyu(ones, zeros).statistic) / (len(ones) * len(zeros))


def asked(model: Any, objective: Any, params: Any, batch: Batch) -> tuple[int, int]:
    """How often a batch's loss asks a vector field for its value, and how often its gradient does so again.

    Counted where it happens, by the compiled program, whatever the gradient method recomputes; a derivative counts as
    the evaluation it is taken at. The field is asked for all rows at once, so that the row with most steps rules. On a
    grid `backsolve` counts two more, of a gradient by the times that nobody wants.
    """
    key = jax.random.key(0)

    def loss(params: Any, batch: Batch) -> Any:
        return objective(model, params, batch, key, 0)["loss"].total

    forward = _calls(loss, params, batch)
    return forward, _calls(jax.value_and_grad(loss), params, batch) - forward


def solves(model: Any) -> SolveConfig | None:
    """The first solve of a model; None where it solves nothing."""
    for field in dataclasses.fields(model):
        part = getattr(model, field.name)
        found = solves(part) if isinstance(part, nn.Module) and field.name != "parent" else part
        if isinstance(found, SolveConfig):
            return found
    return None


def _calls(function: Callable[..., Any], *arguments: Any) -> int:
    calls, depth = [], 0

    def counted(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        nonlocal depth
        if context.method_name != "__call__" or not hasattr(context.module, "event_ndim"):
            return call(*args, **kwargs)
        depth += 1
        try:
            slopes = call(*args, **kwargs)
        finally:
            depth -= 1
        if not depth:  # a field that holds a field is asked once
            # An argument: what depends on no step would be called once a loop.
            some = jax.tree.leaves(slopes)[0].ravel()[0]
            jax.debug.callback(lambda _: calls.append(1), some)
        return slopes

    with nn.intercept_methods(counted):
        jax.block_until_ready(jax.jit(function)(*arguments))
    jax.effects_barrier()
    return len(calls)


def _measured(
    model: Any, params: Any, batches: Sequence[Batch], passes: int
) -> tuple[float, float, float, float]:
    """The last four numbers of an `Effort`."""
    logits, target, out = classified(model, params, batches)
    forward, seconds = _compiled(model), []
    for _ in range(passes):
        start = time.perf_counter()
        for batch in batches:
            jax.block_until_ready(forward(params, batch))
        seconds.append(time.perf_counter() - start)
    return (
        float(np.mean(logits.argmax(axis=-1) != target)),
        float(np.mean(out.stats["evaluations"])),
        1e3 * min(seconds, default=math.nan) / len(target),
        float(np.mean(out.failed)),
    )


def _first(batches: Iterable[Batch], examples: int) -> Iterable[Batch]:
    """As many batches as hold so many examples."""
    batches = iter(batches)
    first = next(batches)
    return [first, *islice(batches, max(0, -(-examples // len(first.index)) - 1))]


@functools.lru_cache(maxsize=8)
def _compiled(model: Any) -> Callable[..., Any]:
    return jax.jit(lambda params, batch: model.apply({"params": params}, batch))
