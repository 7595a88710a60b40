"""Continuous normalizing flows: a vector field that carries the standard normal distribution to that of the data."""

from typing import Any, Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from odeembed.errors import ConfigError
from odeembed.fields.divergence import with_divergence
from odeembed.fields.mlp import MLPField
from odeembed.solve.config import Solution, SolveConfig
from odeembed.solve.neural_ode import Path, pure
from odeembed.solve.penalty import signs
from odeembed.solve.solve import solve

Trace = Literal["exact", "hutchinson"]


class FlowDensity(NamedTuple):
    """Both ends of each row's path, and the density at its end, in nats.

    A failed row has in `log_prob` what its solve left: NaN where adaptive steps did not reach the end.

    Attributes:
      log_prob: float [b], log p(x) = log N(base; 0, I) - log_det.
      base: float [b, d], the point at time 0.
      x: float [b, d], the point at time `length`.
      log_det: float [b], log |det dx/dbase|, for bases of another density: the integral of tr(df/dy) from time 0.
      stats: int32 [b] counts of the solver.
      failed: bool [b], true where nothing of a row can be trusted.
      penalty: float [b], `SolveConfig.penalty` of each row's path; None without one.
    """

    log_prob: Any
    base: Any
    x: Any
    log_det: Any
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None

    @property
    def states(self) -> Float[Array, "b 1 d"]:
        """The bases: what is read of each path, as `states` of other models."""
        return self.base[:, None]


class ContinuousFlow(nn.Module):
    """x = y(length) for y(0) ~ N(0, I) and dy/dt = field(t, y, context), with the density of x.

    Both directions are solves of one equation, so that they invert each other, and agree in density, to the solver's
    error and no further.

    Attributes:
      field: vector field on [b, d]. The one here is zero at first, and the flow the identity: training starts from a
        density that is nowhere near 0, by paths that are cheap to solve.
      config: how paths are solved. With adaptive steps the log-density is held to the tolerances like a coordinate.
      trace: "exact" takes d Jacobian-vector products an evaluation; "hutchinson" takes one, with signs from each row's
        key that stay the same along the path, and `log_prob` is an estimate without bias.
      length: time at which the data live.

    Raises:
      ConfigError: an unknown trace, a length that is not above 0, or no keys for Hutchinson's estimate.

    References:
      Chen et al. 2018, theorem 1 and eq. (8), for the density; Grathwohl et al. 2019, FFJORD, eq. (4) and (7).
    """

    field: nn.Module = MLPField(hidden=(64, 64), time=True, size_at_start=0.0)
    config: SolveConfig = SolveConfig(solver="rk4", steps=4)
    trace: Trace = "exact"
    length: float = 1.0

    def setup(self):
        """Checks the settings."""
        if self.trace not in get_args(Trace):
            raise ConfigError(f"trace must be {' or '.join(get_args(Trace))}; got {self.trace!r}.")
        if not self.length > 0:
            raise ConfigError(f"length must be above 0; got {self.length}. Use 1.0.")

    def __call__(
        self, x: Float[Array, "b d"], context: Any = None, keys: Key[Array, " b"] | None = None
    ) -> FlowDensity:
        """`log_prob`."""
        return self.log_prob(x, context, keys)

    def log_prob(
        self,
        x: Float[Array, "b d"],
        context: Any = None,
        keys: Key[Array, " b"] | None = None,
        trace: Trace | None = None,
    ) -> FlowDensity:
        """The density at x, by the path from x back to its base.

        Args:
          context: what the field is given, in rows.
          keys: one a row, of Hutchinson's noise and of the Jacobian term of a penalty; None with an exact trace.
          trace: taken instead of the flow's own.
        """
        base, gained, found = self._carried(x, (self.length, 0.0), context, keys, trace or self.trace)
        return _density(base, x, -gained, found)

    def forward(
        self,
        base: Float[Array, "b d"],
        context: Any = None,
        keys: Key[Array, " b"] | None = None,
        trace: Trace | None = None,
    ) -> FlowDensity:
        """The point x to which each base is carried, and the density there; arguments as for `log_prob`."""
        x, gained, found = self._carried(base, (0.0, self.length), context, keys, trace or self.trace)
        return _density(base, x, gained, found)

    def sample(self, keys: Key[Array, " b"], width: int, context: Any = None) -> FlowDensity:
        """One point of `width` coordinates for each key, by that key alone, and the density there."""
        keys, noise = jnp.unstack(jax.vmap(jax.random.split)(keys), axis=1)
        base = jax.vmap(lambda key: jax.random.normal(key, (width,)))(keys)
        return self.forward(base, context, noise)

    def transport(self, y: Float[Array, "b d"], ts: Float[Array, " n"], context: Any = None) -> Solution:
        """States [b, n, d] at the times ts, the first of which is y's: 0 for a base, `length` for an x.

        On a fixed grid there are `config.steps` steps between two neighbouring times, more than `forward` takes.
        """
        if self.is_initializing():
            self.field(jnp.zeros_like(y[:, :1]), y, context)
        f, variables = pure(self.field)
        return solve(f, variables, y, ts, self.config, context)

    def velocity(self, t: Any, y: Float[Array, "b d"], context: Any = None) -> Float[Array, "b d"]:
        """The field itself, dy/dt at time t [b, 1]: what is fitted by flow matching."""
        return self.field(t, y, context)

    def _carried(self, y, ends, context, keys, trace):
        """The state at the other end, the integral [b] of the trace on the way there, and the solution."""
        if trace == "hutchinson" and keys is None and not self.is_initializing():
            raise ConfigError("trace = 'hutchinson' needs a key for each row; got none. Pass keys=.")
        zero = jnp.zeros_like(y[:, :1])
        if self.is_initializing():
            self.field(zero, y, context)
        f, variables = pure(self.field)
        ts = jnp.broadcast_to(jnp.array(ends, y.dtype), (y.shape[0], 2))
        if self.is_mutable_collection("intermediates"):
            path = Path(self.field.unbind()[0], self.config, variables, y, ts, None, context)
            self.sow("intermediates", "solve", path)
        e = signs(keys, y)

        def field(variables, t, state, context):
            context, noise = context
            return with_divergence(lambda y: f(variables, t, y, context), state[0], noise)

        noise = e if trace == "hutchinson" else None
        # The integral counts in no penalty.
        found = solve(
            field, variables, (y, zero), ts, self.config, (context, noise), noise=(e, jnp.zeros_like(zero))
        )
        y, gained = found.ys
        return y[:, -1], gained[:, -1, 0], found


def _density(base, x, log_det, found):
    log_prob = jnp.sum(jax.scipy.stats.norm.logpdf(base), axis=-1) - log_det
    return FlowDensity(log_prob, base, x, log_det, found.stats, found.failed, found.penalty)
