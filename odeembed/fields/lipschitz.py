"""A field whose Lipschitz constant is held below a number, so that no two of its paths come together fast."""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from odeembed.errors import ConfigError
from odeembed.fields.mlp import MLPField

_SCALES = "scales"  # the collection of what is computed once a solve


class Bounded(nn.Module):
    """dy/dt = min(1, constant / L) f(t, y, context), L being the upper bound `f.lipschitz(radius)`.

    The bound costs one singular value decomposition a kernel. `NeuralODE` and `JumpFlow` take it once a solve, forward
    and backward; elsewhere it is taken at every call, see `with_scales`.

    Attributes:
      field: the vector field f.
      constant: what the Lipschitz constant in y stays below, in units of 1 / time.
      radius: where f's own bound holds on a cube only, the cube |y_i| <= radius on which it is held.

    Raises:
      ConfigError: f has no bound, or constant is not above 0.

    References:
      Gouk et al. 2021, Regularisation of Neural Networks by Enforcing Lipschitz Continuity; here the field is scaled as
      a whole and in every evaluation, instead of each kernel after every update.
    """

    field: nn.Module = MLPField()
    constant: float = 1.0
    radius: float = 1.0
    event_ndim: ClassVar[int] = 1

    def __call__(self, t: Any, y: Float[Array, "*b d"], context: Any = None) -> Float[Array, "*b d"]:
        """The scaled derivative; [*b, d] like y."""
        dy = self.field(t, y, context)  # first, so that the parameters exist
        return self._scale() * dy

    def lipschitz(self, radius: float = 1.0) -> Float[Array, ""]:
        """An upper bound of the Lipschitz constant in y on |y_i| <= radius; on its own cube at most `constant`."""
        scale = self._scale()
        if self.is_mutable_collection(_SCALES):
            self.put_variable(_SCALES, "scale", scale)
        return scale * self.field.lipschitz(radius)

    def bound(self, radius: float = 1.0) -> Float[Array, " d"] | float:
        """Upper bounds of |dy_i/dt| for |y_i| <= radius."""
        size = self.field.bound(radius)
        return size if isinstance(size, float) else self._scale() * size

    def _scale(self):
        if self.has_variable(_SCALES, "scale"):
            return self.get_variable(_SCALES, "scale")
        if not self.constant > 0:
            raise ConfigError(
                f"constant must be above 0; got {self.constant}. A field at rest is field=None."
            )
        slope = self.field.lipschitz(self.radius) if hasattr(self.field, "lipschitz") else float("inf")
        if isinstance(slope, float):
            raise ConfigError(
                f"Bounded needs a field with a Lipschitz bound; {type(self.field).__name__} has none. "
                "Use MLPField or GRUField, or one made of them."
            )
        return self.constant / jnp.maximum(slope, self.constant)  # the slope may be 0


def with_scales(field: nn.Module, variables: Any) -> Any:
    """The variables with the factor of every `Bounded` in the field beside them, for many calls in a loop.

    Compilers take what does not change out of a loop, but not out of its gradient: there a decomposition at every
    evaluation made a training step up to 14 times slower.
    """
    if not _holds_bounded(field) or not hasattr(field, "lipschitz"):
        return variables
    return {**variables, **field.apply(variables, method="lipschitz", mutable=[_SCALES])[1]}


def _holds_bounded(field):
    parts = (getattr(field, each.name) for each in dataclasses.fields(field) if each.name != "parent")
    return isinstance(field, Bounded) or any(
        _holds_bounded(part) for part in parts if isinstance(part, nn.Module)
    )
