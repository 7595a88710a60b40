"""TrainState: all that a step changes and a checkpoint keeps, and how it begins."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean


class TrainState(NamedTuple):
    """A pytree; the same for every way of spreading the work over devices.

    Attributes:
      step: int32 scalar, steps taken so far.
      params: nested dict of the parameters.
      opt_state: what the optimizer remembers.
      key: random key, constant through the run: the noise of a step is drawn from (key, step, example).
      ema: moving average of `params`, or None.
      means: the metrics summed since the last multiple of `log_every`, so that the host reads them once a window
        and a run stopped within a window goes on with it.
    """

    step: Any
    params: Any
    opt_state: Any
    key: Any
    ema: Any
    means: dict[str, Mean]


def init_state(
    model: Any,
    objective: Any,
    optimizer: optax.GradientTransformation,
    batch: Batch,
    seed: int,
    ema: float,
    placed: Any = None,
) -> TrainState:
    """The state before the first step, on the default device unless it is said where.

    The seed is split once: one key draws the parameters, the other the noise of the steps.

    Args:
      batch: any batch; only its shapes matter to most objectives.
      ema: decay of the moving average; 0 keeps none.
      placed: the sharding of every array of the state.

    Raises:
      ConfigError: the seed is not in [0, 2**32); jax would silently take it modulo 2**32.
    """
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed must be at least 0 and below 2**32; got {seed}. Use a seed such as 0.")

    def build(key: Any, batch: Batch) -> TrainState:
        init_key, step_key = jax.random.split(key)
        params = objective.init(model, init_key, batch)
        step = jnp.zeros((), jnp.int32)
        shapes = jax.eval_shape(lambda: objective(model, params, batch, step_key, step))
        means = {name: Mean(jnp.zeros(()), jnp.zeros(())) for name in (*shapes, "gradient_norm")}
        average = jax.tree.map(jnp.copy, params) if ema else None
        return TrainState(step, params, optimizer.init(params), step_key, average, means)

    return jax.jit(build, out_shardings=placed)(jax.random.key(seed), batch)


def evaluated_params(state: TrainState) -> Any:
    """The parameters to evaluate and to publish: the moving average when one is kept."""
    return state.params if state.ema is None else state.ema
