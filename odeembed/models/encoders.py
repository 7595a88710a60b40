"""Encoders: what turns a sentence, or an irregular series, into hidden states."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from odeembed.fields.gru import GRUField
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import Path, pure
from odeembed.solve.penalty import signs
from odeembed.solve.solve import Jumps, solve


class GRUJump(nn.Module):
    """A GRU cell as jump: h <- (1 - z) * n + z * h, with the input's part of the gates given as x.

    With x = [x_r, x_z, x_n] and U h = [u_r, u_z, u_n]: r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z),
    n = tanh(x_n + r * u_n). The three products with the input are taken for all times at once, outside the loop.

    References:
      Cho et al. 2014, eq. (5) to (8), with the reset gate after the product.
    """

    @nn.compact
    def __call__(self, t: Any, h: Float[Array, "*b h"], x: Float[Array, "*b 3*h"]) -> Float[Array, "*b h"]:
        """The state after the jump; t is not looked at."""
        orthogonal = nn.initializers.orthogonal()
        recurrent = nn.Dense(3 * h.shape[-1], use_bias=False, kernel_init=orthogonal, name="recurrent")
        x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
        u_r, u_z, u_n = jnp.split(recurrent(h), 3, axis=-1)
        r, z = nn.sigmoid(x_r + u_r), nn.sigmoid(x_z + u_z)
        return (1 - z) * jnp.tanh(x_n + r * u_n) + z * h


class Flow(NamedTuple):
    """States of a flow with jumps, for each direction.

    Attributes:
      before: float [b, n, h], the state just before the jump at each time (in the direction's own sense of time).
      after: float [b, n, h], the state just after it.
      stats: counts a row, of all directions together.
      failed: bool [b].
      penalty: float [b], of all directions together; None without a penalty.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None


class JumpFlow(nn.Module):
    """Hidden states that flow between observations and jump at each one, forward and backward in time side by side.

    With a field this is the ODE-RNN; with `field=None` the state rests between observations, which is a GRU.

    Attributes:
      hidden: width h of the state.
      field: vector field of the forward flow, and of the backward flow with weights of its own; None for a GRU.
      config: how the flow between two times is solved.
      directions: which of the two are computed.

    References:
      Rubanova et al. 2019, Latent ODEs for Irregularly-Sampled Time Series, algorithm 1.
    """

    hidden: int = 128
    field: nn.Module | None = GRUField()
    config: SolveConfig = SolveConfig()
    directions: tuple[str, ...] = ("forward", "backward")

    @nn.compact
    def __call__(
        self,
        inputs: Float[Array, "b n e"],
        times: Float[Array, "b n"],
        observed: Bool[Array, "b n"],
        mask: Bool[Array, "b n"],
        keys: Key[Array, " b"] | None = None,
        start: Float[Array, "b h"] | None = None,
    ) -> Flow:
        """The states at all times.

        Args:
          inputs: x_i, seen at the times t_i.
          observed: where the state jumps.
          mask: which times are real.
          keys: of the penalty's noise, one a row; None: the same noise for all, always.
          start: the state at the beginning, in every direction; None: one that is learned, of each direction its own.
        """
        b = inputs.shape[0]
        flip = [direction == "backward" for direction in self.directions]
        orient = [_reversed if backward else _as_is for backward in flip]
        x = tuple(
            o(nn.Dense(3 * self.hidden, name=f"input_{d}")(inputs))
            for o, d in zip(orient, self.directions, strict=True)
        )
        ts = tuple(-o(times) if backward else times for o, backward in zip(orient, flip, strict=True))
        cells = tuple(GRUJump(name=f"cell_{d}") for d in self.directions)
        fields = (
            ()
            if self.field is None
            else tuple(self.field.copy(parent=self, name=f"field_{d}") for d in self.directions)
        )
        h0 = tuple(
            jnp.broadcast_to(
                self.param(f"start_{d}", nn.initializers.zeros, (self.hidden,)) if start is None else start,
                (b, self.hidden),
            )
            for d in self.directions
        )
        if self.is_initializing():
            for i, cell in enumerate(cells):
                cell(ts[i][:, :1], h0[i], x[i][:, 0])
            for i, field in enumerate(fields):
                field(ts[i][:, :1], h0[i])
        jump, jump_variables = _side_by_side(cells)
        flow, flow_variables = _side_by_side(fields)
        solution = solve(
            None if self.field is None else lambda p, t, h, c: flow(p["flow"], t, h),
            {"flow": flow_variables, "jump": jump_variables},
            h0,
            ts,
            self.config,
            mask=tuple(o(mask) for o in orient),
            jumps=Jumps(
                lambda p, t, h, x: jump(p["jump"], t, h, x), x, tuple(o(observed) & o(mask) for o in orient)
            ),
            noise=signs(keys, h0),
        )
        times_as_columns = tuple(t[..., None] for t in ts)
        after = jump(jump_variables, times_as_columns, solution.ys, x)
        after = tuple(
            jnp.where(o(observed)[..., None], a, h)
            for o, a, h in zip(orient, after, solution.ys, strict=True)
        )
        if self.is_mutable_collection("intermediates"):
            each = zip(self.directions, fields, flow_variables, after, ts, orient, strict=False)
            for d, field, variables, h, t, o in each:
                legs = _between_jumps(field.unbind()[0], self.config, variables, h, t, o(mask))
                self.sow("intermediates", d, legs)
        return Flow(
            tuple(o(h) for o, h in zip(orient, solution.ys, strict=True)),
            tuple(o(h) for o, h in zip(orient, after, strict=True)),
            solution.stats,
            solution.failed,
            solution.penalty,
        )


def last_states(flow: Flow, directions: tuple[str, ...], mask: Bool[Array, "b n"]) -> Float[Array, "b k"]:
    """The states after the last real time and, backward, after the first, side by side: k is h times the directions."""
    last = jnp.maximum(mask.sum(axis=1) - 1, 0)
    ends = {"forward": last, "backward": jnp.zeros_like(last)}
    states = [
        jnp.take_along_axis(after, ends[direction][:, None, None], axis=1)[:, 0]
        for after, direction in zip(flow.after, directions, strict=True)
    ]
    return jnp.concatenate(states, axis=-1)


def _side_by_side(modules):
    """One pure function on tuples from modules that share nothing, and the tuple of their variables."""
    taken = [pure(module) for module in modules]

    def f(variables, *args):
        return tuple(
            g(v, *(a[i] for a in args)) for i, ((g, _), v) in enumerate(zip(taken, variables, strict=True))
        )

    return f, tuple(variables for _, variables in taken)


def _between_jumps(field, config, variables, after, t, mask):
    """The ways from each jump to the next as paths of their own, [b * (n - 1), 2] times."""
    real = mask[:, :-1] & mask[:, 1:]
    ends = jnp.stack([t[:, :-1], t[:, 1:]], axis=-1).reshape(-1, 2)
    y0 = after[:, :-1].reshape(-1, after.shape[-1])
    return Path(field, config, variables, y0, ends, jnp.repeat(real.reshape(-1, 1), 2, axis=1))


def _reversed(x):
    return jnp.flip(x, axis=1)


def _as_is(x):
    return x
