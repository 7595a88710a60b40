"""Accuracy when a hidden token is read off its time: how far the path carries a word to either side."""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import jax

from odeembed.evaluate.masked import evaluate_split


@dataclass(frozen=True)
class FractionalTimes:
    """Top-1 accuracy of the hidden tokens when each is read at t + shift instead of t.

    Attributes:
      shifts: in tokens; the visible tokens stay where they are.
      every: of the batches of the test split, each `every`-th is read, from the first on.
    """

    shifts: tuple[float, ...] = (-0.5, -0.25, 0.0, 0.25, 0.5)
    every: int = 8

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns accuracy/shift<shift>; the tokens, and the masks, are those of the run's own evaluation.

        Args:
          run: has model, params, experiment and dataset.
        """
        objective = replace(run.experiment.objective, shifts=self.shifts)
        batches = islice(run.dataset.evaluation("test"), 0, None, self.every)
        key = jax.random.key(run.experiment.seed)
        means = evaluate_split(run.model, run.params, objective, batches, key)
        return {name: mean.value for name, mean in means.items() if name.startswith("accuracy/shift")}
