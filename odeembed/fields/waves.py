"""Time as input: sines and cosines of several periods, so that a field can tell where on a path it is."""

from typing import Any

import jax.numpy as jnp
import numpy as np


def waves(t: Any, count: int) -> Any:
    """sin and cos of t with periods 2, 4, ..., 2^count, of shape [*b, 2 * count] for t of [*b, 1].

    References:
      Vaswani et al. 2017, section 3.5, with periods that are powers of 2.
    """
    angles = t * np.float32(2 * np.pi) / np.float32(2.0) ** np.arange(1, count + 1, dtype=np.float32)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
