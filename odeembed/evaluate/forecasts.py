"""How far a model's paths are from those that series were drawn from, between what was seen, after and before it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from odeembed.models.series import LatentODE


@dataclass(frozen=True)
class Forecasts:
    """Measures a model of series whose paths are known, on the test split.

    A latent path is read at all times that are known. What predicts only what comes next is asked for those after all
    that was seen, each prediction being taken for what is seen.
    """

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns rmse/<name>: the root of the mean squared distance of a coordinate from the truth, for each name."""
        found = forecasts(run, "test")
        truth = run.dataset.truth("test")
        return {
            f"rmse/{name}": float(np.sqrt(np.mean((means - truth[name][1]) ** 2)))
            for name, means in found.items()
        }


def forecasts(run: Any, split: str) -> dict[str, Float[np.ndarray, "n m c"]]:
    """The means at the times that are known of a split, in its order, by name.

    Args:
      run: has model, params and dataset, whose `truth` is known.
    """
    latent = isinstance(run.model, LatentODE)
    asked = {name: ts for name, (ts, _) in run.dataset.truth(split).items() if latent or name == "after"}
    batches = list(run.dataset.evaluation(split))
    index = np.concatenate([batch.index for batch in batches])
    order = np.argsort(index[index >= 0])
    found = {}
    for name, ts in asked.items():
        parts = [
            _compiled(run.model)(run.params, batch, np.tile(ts, (len(batch.index), 1))) for batch in batches
        ]
        found[name] = np.concatenate(jax.device_get(parts))[index >= 0][order]
    return found


@functools.lru_cache(maxsize=8)
def _compiled(model: Any) -> Callable[..., Any]:
    return jax.jit(
        lambda params, batch, ts: model.apply({"params": params}, batch, ts, method="forecast").means
    )
