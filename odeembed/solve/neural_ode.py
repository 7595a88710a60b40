"""NeuralODE: the one bridge from a linen field to `solve`."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from odeembed.solve.config import Solution, SolveConfig
from odeembed.solve.solve import solve


def pure(module: nn.Module) -> tuple[Callable[..., Any], Any]:
    """(f, variables) with f(variables, *args) = module(*args), for use inside a solver.

    A bound submodule called inside a compiled loop leaks tracers (flax issue 2887); this one is taken out of its
    parent first. The module must have been called once outside the solver, so that its parameters exist.
    """
    unbound, variables = module.unbind()
    return (lambda variables, *args: unbound.apply(variables, *args)), variables


class NeuralODE(nn.Module):
    """y(t) for y(ts[:, 0]) = y0 and dy/dt = field(t, y, context).

    Attributes:
      field: a linen vector field.
      config: solver, steps, tolerances, gradient method.

    References:
      Chen et al. 2018, eq. (2) and (3).
    """

    field: nn.Module
    config: SolveConfig = SolveConfig()

    def __call__(
        self,
        y0: Any,
        ts: Float[Array, "b n"],
        context: Any = None,
        mask: Bool[Array, "b n"] | None = None,
        noise: Any = None,
    ) -> Solution:
        """The solution at times ts, the first of which is y0's; mask and noise as for `solve`."""
        if self.is_initializing():
            self.field(ts[:, :1], y0, context)
        f, variables = pure(self.field)
        return solve(
            lambda p, t, y, c: f(p, t, y, c), variables, y0, ts, self.config, context, mask=mask, noise=noise
        )
