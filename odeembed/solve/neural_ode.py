"""NeuralODE: the one bridge from a linen field to `solve`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float

from odeembed.fields.lipschitz import with_scales
from odeembed.solve.config import Solution, SolveConfig
from odeembed.solve.solve import solve
from odeembed.solve.tableau import columns


def pure(module: nn.Module) -> tuple[Callable[..., Any], Any]:
    """(f, variables) with f(variables, *args) = module(*args), for use inside a solver.

    A bound submodule called inside a compiled loop leaks tracers (flax issue 2887); this one is taken out of its
    parent first. The module must have been called once outside the solver, so that its parameters exist.
    """
    unbound, variables = module.unbind()
    return (lambda variables, *args: unbound.apply(variables, *args)), with_scales(unbound, variables)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Path:
    """A solve inside a model, without its jumps: what it takes to solve it again, or otherwise.

    `NeuralODE` and `JumpFlow` sow theirs: `model.apply(variables, ..., mutable=["intermediates"])` hands them out.

    Attributes:
      field: the vector field, unbound.
      config: how it was solved.
      variables: of the field.
      y0: pytree of [r, ...], states at the first times.
      ts: float [r, n].
      mask: bool [r, n], which of the times are real; None: all are.
      context: what the field was given.
    """

    field: nn.Module = dataclasses.field(metadata={"static": True})
    config: SolveConfig = dataclasses.field(metadata={"static": True})
    variables: Any
    y0: Any
    ts: Any
    mask: Any = None
    context: Any = None


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
            self.field(columns(ts[:, 0], y0), y0, context)
        f, variables = pure(self.field)
        if self.is_mutable_collection("intermediates"):
            path = Path(self.field.unbind()[0], self.config, variables, y0, ts, mask, context)
            self.sow("intermediates", "solve", path)
        return solve(
            lambda p, t, y, c: f(p, t, y, c), variables, y0, ts, self.config, context, mask=mask, noise=noise
        )
