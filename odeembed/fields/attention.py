"""One transformer block as vector field over all positions of a sentence at once."""

import math
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from odeembed.errors import ConfigError
from odeembed.precision import einsum


class AttentionContext(NamedTuple):
    """What stays fixed while the states of a sentence flow through depth.

    Attributes:
      times: float [b, l], the time of each position.
      keys: bool [b, l], the positions that may be attended to.
    """

    times: Float[Array, "b l"]
    keys: Bool[Array, "b l"]


class AttentionField(nn.Module):
    """dy/ds = Attention(LN(y)) + MLP(LN(y)), s being depth: the residual branches of a pre-norm block, in parallel.

    Attention scores carry a bias linear in the distance in time, with one learned slope a head and a direction, so
    that order is known at any real-valued time.

    Attributes:
      heads: number of attention heads; divides d.
      expansion: width of the MLP's hidden layer in units of d.

    References:
      Vaswani et al. 2017, eq. (1); Press et al. 2022 (ALiBi), section 3, here with learned slopes;
      Li et al. 2022, ODE Transformer, eq. (2), for the block as derivative.
    """

    heads: int = 4
    expansion: float = 4.0
    event_ndim: ClassVar[int] = 2

    @nn.compact
    def __call__(self, t: Any, y: Float[Array, "b l d"], context: AttentionContext) -> Float[Array, "b l d"]:
        """The derivative of all positions of each sentence; t is not looked at.

        Raises:
          ConfigError: `heads` does not divide d.
        """
        b, length, d = y.shape
        if d % self.heads:
            raise ConfigError(
                f"heads must divide the width of a state, {d}; got {self.heads}. Use {math.gcd(d, self.heads)}."
            )
        x = nn.LayerNorm(name="norm")(y)
        q, k, v = jnp.split(nn.Dense(3 * d, name="qkv")(x).reshape(b, length, self.heads, -1), 3, axis=-1)
        scores = einsum("bqhc,bkhc->bhqk", q, k) * (d // self.heads) ** -0.5
        start = -jnp.exp2(-8.0 * jnp.arange(1, self.heads + 1) / self.heads)
        before, after = (self.param(f"slope_{side}", lambda _: start) for side in ("before", "after"))
        scores = scores + distance_bias(context.times, before, after)
        scores = jnp.where(context.keys[:, None, None, :], scores, -1e30)
        attended = einsum("bhqk,bkhc->bqhc", nn.softmax(scores), v).reshape(b, length, d)
        hidden = nn.gelu(nn.Dense(round(self.expansion * d), name="expand")(x))
        return nn.Dense(d, name="out")(attended) + nn.Dense(d, name="contract")(hidden)

    def lipschitz(self, radius: float = 1.0) -> float:
        """math.inf: no bound is claimed.

        Dot-product attention by itself has none, since its scores are products of two states. Behind a layer norm the
        states it sees are bounded, but the norm's own slope is bounded by nothing but 1 / sqrt(epsilon) = 1000 where
        all entries of a position agree, and the rest grows with the length of the sentence: a number so far above any
        slope met that it would say nothing.

        References:
          Kim et al. 2021, The Lipschitz Constant of Self-Attention.
        """
        return math.inf


def distance_bias(
    times: Float[Array, "b l"], before: Float[Array, " heads"], after: Float[Array, " heads"]
) -> Float[Array, "b heads l l"]:
    """Added to the score of query i and key j: before * (t_i - t_j) for earlier keys, after * (t_j - t_i) for later."""
    lag = (times[:, :, None] - times[:, None, :])[:, None]
    return before[:, None, None] * jnp.maximum(lag, 0) + after[:, None, None] * jnp.maximum(-lag, 0)
