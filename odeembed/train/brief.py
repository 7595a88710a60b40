"""A model trained in memory for a few steps, as a means to measure something: nothing is saved, logged or resumed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from odeembed.batch import Batch
from odeembed.train.optimizer import Optimizer
from odeembed.train.state import init_state
from odeembed.train.step import make_step


def fit(model: Any, objective: Any, batch: Callable[[int], Batch], steps: int, seed: int) -> Any:
    """The model's parameters after some steps from a random start, on one device, with a usual learning rate.

    Args:
      batch: the batch of a step, in few shapes.
    """
    optimizer = Optimizer(peak=3e-3, warmup=min(100, steps // 4), clip=5.0).build(steps)
    state = init_state(model, objective, optimizer, batch(0), seed, 0.0)
    step = jax.jit(make_step(model, objective, optimizer), donate_argnums=0)
    for number in range(steps):
        state = step(state, jax.tree.map(jnp.asarray, batch(number)))
    return state.params
