"""Augmentation: extra coordinates that start at zero, so that paths need not cross."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.fields.mlp import MLPField


class Augmented(nn.Module):
    """A field on [y, a] with `extra` more coordinates a; `lift` puts a = 0 beside y, `drop` takes a away.

    Attributes:
      field: the vector field on d + extra coordinates.
      extra: number of coordinates added.

    References:
      Dupont et al. 2019, Augmented Neural ODEs, eq. (1).
    """

    field: nn.Module = MLPField()
    extra: int = 8

    @property
    def event_ndim(self) -> int:
        """As many axes as the field's state has; the last one is d."""
        return self.field.event_ndim

    def __call__(self, t: Any, y: Float[Array, "*b da"], context: Any = None) -> Float[Array, "*b da"]:
        """The derivative of the lifted state."""
        return self.field(t, y, context)

    def lift(self, y: Float[Array, "*b d"]) -> Float[Array, "*b da"]:
        """[y, 0]: the state on which the field acts."""
        return jnp.concatenate([y, jnp.zeros((*y.shape[:-1], self.extra), y.dtype)], axis=-1)

    def drop(self, y: Float[Array, "*b da"]) -> Float[Array, "*b d"]:
        """The state without its extra coordinates."""
        return y[..., : -self.extra] if self.extra else y

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""] | float:
        """An upper bound of the Lipschitz constant in [y, a]: that of the field it holds."""
        return self.field.lipschitz(radius)

    def bound(self, radius: float = 1.0) -> Float[Array, " da"] | float:
        """Upper bounds of the derivative's coordinates: those of the field it holds."""
        return self.field.bound(radius)
