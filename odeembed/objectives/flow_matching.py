"""Flow matching: a flow's field is fitted to straight ways from noise to data, and nothing is solved in training."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from odeembed.models.flow import ContinuousFlow


def flow_matching_loss(
    flow: ContinuousFlow,
    params: Any,
    x: Float[Array, "b d"],
    keys: Key[Array, " b"],
    context: Any = None,
    sigma_min: float = 1e-4,
) -> Float[Array, " b"]:
    """|v(psi_t(x0), t) - d psi_t(x0)/dt|^2 of each row, with psi_t(x0) = (1 - (1 - sigma_min) t) x0 + t x.

    Its expectation is least where v carries noise to data as the ways do on average. v is the flow's field with time in
    units of `flow.length`, so that the same parameters give samples and their density.

    Args:
      params: of the flow.
      x: the data, x_1 in the paper.
      keys: one a row, of the noise x0 ~ N(0, I) and of the time t, uniform in [0, 1).
      context: what the field is given, in rows.
      sigma_min: standard deviation around a data point at which its way ends.

    References:
      Lipman et al. 2023, Flow Matching for Generative Modeling, eq. (22) and (23).
    """
    noise_keys, time_keys = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
    x0 = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))(noise_keys)
    t = jax.vmap(lambda key: jax.random.uniform(key, (1,), x.dtype))(time_keys)
    psi = (1 - (1 - sigma_min) * t) * x0 + t * x
    velocity: Any = flow.apply({"params": params}, flow.length * t, psi, context, method="velocity")
    return jnp.sum((flow.length * velocity - (x - (1 - sigma_min) * x0)) ** 2, axis=-1)
