"""The training step: gradient of the summed loss over the global count, one update, the window of metrics."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from odeembed import precision
from odeembed.batch import Batch
from odeembed.mean import Mean
from odeembed.train.state import TrainState

Step = Callable[[TrainState, Batch], TrainState]
Sums = Callable[..., Any]  # (params, key, step, batch) -> gradient of the summed loss, and the means


def make_step(
    model: Any,
    objective: Any,
    optimizer: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    ema: float = 0.0,
    log_every: int = 1,
    spread: Callable[[Sums], Sums] = lambda sums: sums,
    gather: Callable[[Any], Any] = lambda params: params,
    products: precision.Products = "float32",
) -> Step:
    """Returns the pure function (state, batch) -> state.

    Args:
      accumulate: micro-batches whose gradients are summed before the update; the result is that of the whole batch.
      ema: decay of the moving average; during the first steps min(ema, (1 + step) / (10 + step)), so that the
        random start is forgotten.
      log_every: the window of metrics begins anew after each multiple of it.
      spread: makes the sums over all rows from those over a device's own; by default the compiler does it (jit).
      gather: makes the parameters that are computed with from those that are kept, once a step; gradients likewise.
      products: "bfloat16" and "tensorfloat32" round the operands of matrix products; "float32" leaves them to jax's
        default.
    """

    def loss(params, batch, key, step):
        means = objective(model, params, batch, key, step)
        return means["loss"].total, {name: Mean(*map(jnp.float32, mean)) for name, mean in means.items()}

    differentiate = jax.value_and_grad(loss, has_aux=True)
    if products != "float32":
        differentiate = precision.products(products)(differentiate)

    def step(state, batch):
        def sums(params, key, number, batch):
            def of(rows):
                (_, means), gradient = differentiate(params, rows, key, number)
                return gradient, means

            return add_micro_batches(of, batch, accumulate)

        gradient, means = spread(sums)(gather(state.params), state.key, state.step, batch)
        gradient = gather(gradient)  # else the compiler splits it inside of loops, as its use here is split
        count = jnp.maximum(means["loss"].count, 1.0)
        gradient = jax.tree.map(lambda g: g / count.astype(g.dtype), gradient)
        means["gradient_norm"] = Mean(optax.tree.norm(gradient), jnp.ones(()))

        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        decay = jnp.minimum(ema, (1.0 + state.step) / (10.0 + state.step))
        average = None
        if state.ema is not None:
            average = jax.tree.map(lambda a, p: decay * a + (1.0 - decay) * p, state.ema, params)
        begins = state.step % log_every == 0
        means = jax.tree.map(lambda window, new: jnp.where(begins, 0.0, window) + new, state.means, means)
        return TrainState(state.step + 1, params, opt_state, state.key, average, means)

    return step


def add_micro_batches(sums: Callable[[Batch], Any], batch: Batch, parts: int) -> Any:
    """Adds `sums` over `parts` micro-batches, one after the other, holding the memory of one.

    Micro-batch i takes the rows i, i + parts, ...: rows that lie together on a device stay there.
    """
    if parts == 1:
        return sums(batch)
    micro = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch)
    zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(sums, jax.tree.map(lambda x: x[0], micro)))
    total, _ = jax.lax.scan(
        lambda total, rows: (jax.tree.map(jnp.add, total, sums(rows)), None), zeros, micro
    )
    return total
