"""Held-out means of an objective over a whole split: every example counts once, and the device is read once."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from odeembed import mean
from odeembed.batch import Batch
from odeembed.errors import DataError
from odeembed.mean import Mean


def evaluate_split(
    model: Any, params: Any, objective: Any, batches: Iterable[Batch], key: Any
) -> dict[str, Mean]:
    """Adds up `objective.evaluate` over all batches of a split.

    One compilation a batch shape, kept between calls with an equal (model, objective). The batches' means are
    fetched together after the last one and added in float64, so that a long split loses no digits. Rows of index -1
    are the objective's to leave out.

    Args:
      params: the model's "params" collection; an argument of the compiled function, so new ones compile nothing.
      batches: what `dataset.evaluation(split)` yields: every example exactly once.
      key: the key the masks are drawn from; the same key and examples give the same masks.

    Raises:
      DataError: there is no batch at all.
    """
    evaluate = compiled_evaluation(model, objective)
    parts = [evaluate(params, batch, key) for batch in batches]
    if not parts:
        raise DataError(
            "evaluation needs at least one batch; got an empty split. Give it text, or a larger held_out."
        )
    return mean.merge_all(_as_float64(part) for part in jax.device_get(parts))


@functools.lru_cache(maxsize=8)
def compiled_evaluation(model: Any, objective: Any) -> Callable[[Any, Batch, Any], dict[str, Mean]]:
    """Returns the jitted `(params, batch, key) -> dict[str, Mean]`, the same one for an equal (model, objective)."""

    @jax.jit
    def evaluate(params, batch, key):
        return objective.evaluate(model, params, batch, key)

    return evaluate


def _as_float64(part: dict[str, Mean]) -> dict[str, Mean]:
    return {name: Mean(np.float64(value.total), np.float64(value.count)) for name, value in part.items()}
