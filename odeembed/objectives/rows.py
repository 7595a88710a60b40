"""What all objectives share: the noise of an example, and sums over the rows that count."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.mean import Mean


def row_keys(key: PRNGKeyArray, batch: Batch) -> Key[Array, " b"]:
    """The noise of an example by its number alone: it does not depend on the batch or the devices it is in."""
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(batch.index)


def derived(keys: Key[Array, " b"], number: int | Int[Array, ""]) -> Key[Array, " b"]:
    """Keys of other noise for the same examples."""
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def weighted_mean(values: Float[Array, "*b"] | Bool[Array, "*b"], weight: Bool[Array, "*b"]) -> Mean:
    """The mean over the entries that count."""
    return Mean(jnp.sum(jnp.where(weight, values, 0.0)), jnp.sum(weight, dtype=jnp.float32))


def solver_means(out: Any, batch: Batch, before: Any = None) -> dict[str, Mean]:
    """Means over the real rows of a model's output: the share of failed solves, and the solver's counts.

    Args:
      before: output of what was solved before it, its counts and failures added; None: nothing was.
    """
    real = batch.index >= 0
    counts, failed = out.stats, out.failed
    if before is not None:
        added = {name: count + before.stats.get(name, 0) for name, count in counts.items()}
        counts, failed = before.stats | added, failed | before.failed
    counts = {"failed": failed, **counts}
    return {
        f"solver/{name}": Mean(
            jnp.sum(jnp.where(real, count, 0), dtype=jnp.float32), jnp.sum(real, dtype=jnp.float32)
        )
        for name, count in counts.items()
    }
