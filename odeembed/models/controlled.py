"""Neural controlled differential equations: a state driven by a path through what was seen."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from odeembed.models.encoders import Flow, last_states
from odeembed.solve.config import SolveConfig
from odeembed.solve.control import control, slope
from odeembed.solve.neural_ode import pure
from odeembed.solve.solve import solve


class Drive(nn.Module):
    """The matrix F(z) of dz/dt = F(z) dX/dt, each entry in (-1, 1).

    Attributes:
      hidden: widths of the layers before the last.
      size_at_start: factor of the last layer's first kernel. A path of many channels moves much, and a state that
        follows each of its moves at first learns the training series by heart.
    """

    hidden: tuple[int, ...] = (64,)
    size_at_start: float = 0.01
    event_ndim: ClassVar[int] = 1

    @nn.compact
    def __call__(self, z: Float[Array, "*b h"], channels: int) -> Float[Array, "*b h c"]:
        """F(z) for c channels."""
        x = z
        for width in self.hidden:
            x = nn.relu(nn.Dense(width)(x))
        lecun = nn.initializers.lecun_normal()
        init = lambda *args: self.size_at_start * lecun(*args)  # noqa: E731
        return jnp.tanh(nn.Dense(z.shape[-1] * channels, kernel_init=init)(x)).reshape(*z.shape, channels)


class Controlled(nn.Module):
    """States z of dz/dt = F(z) dX/dt, where X is a smooth path through what was seen: the neural CDE.

    X has a channel for the time, those of the series, and how often each of them was seen so far.

    Attributes:
      width: h, of the state.
      drive: F.
      config: how the equation is solved.

    References:
      Kidger et al. 2020, Neural Controlled Differential Equations, eq. (4) to (6).
    """

    width: int = 32
    drive: nn.Module = Drive()
    config: SolveConfig = SolveConfig(solver="midpoint", steps=1)

    @nn.compact
    def __call__(
        self, values: Float[Array, "b n c"], times: Float[Array, "b n"], mask: Bool[Array, "b n"]
    ) -> Flow:
        """The states at the times; nothing jumps.

        Args:
          values: NaN where a channel was not seen.
          mask: which times are real.
        """
        seen = ~jnp.isnan(values) & mask[..., None]
        count = jnp.cumsum(seen, axis=1) / values.shape[1]
        x = jnp.concatenate([times[..., None], jnp.where(seen, values, jnp.nan), count], axis=-1)
        driven = control(times, x)
        z0 = nn.Dense(self.width, name="first")(jnp.nan_to_num(x[:, 0]))
        if self.is_initializing():
            self.drive(z0, x.shape[-1])
        drive, variables = pure(self.drive)

        def field(params: Any, t: Any, z: Any, path: Any) -> Any:
            return jnp.einsum("bhc,bc->bh", drive(params, z, x.shape[-1]), slope(path, t))

        found = solve(field, variables, z0, times, self.config, driven, mask=mask)
        return Flow((found.ys,), (found.ys,), found.stats, found.failed, found.penalty)

    def ends(self, flow: Flow, mask: Bool[Array, "b n"]) -> Float[Array, "b h"]:
        """The states at the last real times."""
        return last_states(flow, ("forward",), mask)
