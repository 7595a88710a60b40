"""Masked interpolators: the hidden tokens of a sentence read off the path through the visible ones."""

from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from odeembed.batch import Batch
from odeembed.fields.attention import AttentionContext, AttentionField
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import WordModel
from odeembed.models.encoders import JumpFlow
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import NeuralODE
from odeembed.solve.penalty import signs


class Hidden(NamedTuple):
    """Hidden states of a sentence.

    Attributes:
      states: float [b, n, h], what the tokens at the times asked for are predicted from.
      contextual: float [b, l, h], what the sentence says at each token, the token itself included.
      stats: solver counts a row; empty for a discrete model.
      failed: bool [b], rows whose solve failed.
      penalty: float [b], the penalty of a sentence's paths, a token; None without one.
    """

    states: Any
    contextual: Any
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None


class Interpolation(NamedTuple):
    """Read-outs [b, n, e] in the space of the embeddings, with the solver's counts, failures and penalty a row."""

    states: Any
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None


class Jump(nn.Module):
    """A forward and a backward flow that jump at each visible token; a token is read just before its own jump.

    The states that predict a token never contain it, so that every position, visible or hidden, is a target. With
    `flow.field=None` and `mask_input=True` this is a bidirectional GRU that is fed a mask vector where a token is
    hidden: the discrete twin.

    Attributes:
      flow: the two flows.
      mask_input: whether a hidden position is a jump too, with a learned vector as input, instead of no event.

    References:
      Rubanova et al. 2019, algorithm 1, run in both directions; Peters et al. 2018, eq. (1), for the reading.
    """

    flow: JumpFlow = JumpFlow()
    mask_input: bool = False
    excludes_own_token: ClassVar[bool] = True

    @nn.compact
    def __call__(
        self,
        embedded: Float[Array, "b l e"],
        times: Float[Array, "b l"],
        visible: Bool[Array, "b l"],
        mask: Bool[Array, "b l"],
        query: Float[Array, "b n"] | None = None,
        keys: Key[Array, " b"] | None = None,
    ) -> Hidden:
        """States at the token times, or at those of `query`; keys of the penalty's noise, one a sentence."""
        observed = visible & mask
        if self.mask_input:
            embedded, observed = _with_mask_vector(self, embedded, visible), mask
        if query is None:
            flow = self.flow(embedded, times, observed, mask, keys)
            before, after = _joined(flow.before), _joined(flow.after)
            return Hidden(before, after, flow.stats, flow.failed, _a_token(mask, flow.penalty))
        # A query is a time without an event. At a token's own time it must come before the token's jump in either
        # direction, so it stands in the path twice: before the token for the forward flow, after it for the backward.
        n, length = query.shape[1], times.shape[1]
        order, merged = _merged(query, times, query)
        blank = jnp.zeros((query.shape[0], n, embedded.shape[-1]), embedded.dtype)
        no_event, real = jnp.zeros(query.shape, bool), _rows(mask, n)
        flow = self.flow(
            jnp.take_along_axis(jnp.concatenate([blank, embedded, blank], axis=1), order[..., None], axis=1),
            merged,
            jnp.take_along_axis(jnp.concatenate([no_event, observed, no_event], axis=1), order, axis=1),
            jnp.take_along_axis(jnp.concatenate([real, mask, real], axis=1), order, axis=1),
            keys,
        )
        place = jnp.argsort(order, axis=1)
        asked = {"forward": place[:, :n], "backward": place[:, n + length :]}
        before = tuple(
            jnp.take_along_axis(states, asked[direction][..., None], axis=1)
            for states, direction in zip(flow.before, self.flow.directions, strict=True)
        )
        after = jnp.take_along_axis(_joined(flow.after), place[:, n : n + length, None], axis=1)
        return Hidden(_joined(before), after, flow.stats, flow.failed, _a_token(mask, flow.penalty))


class Latent(nn.Module):
    """A backward flow with jumps gives z0, and one solve from z0 gives the whole path that all tokens are read from.

    Attributes:
      encoder: ODE-RNN that reads the visible tokens from last to first.
      field: vector field of the path.
      latent: width of the path's state.
      config: how the path is solved.

    References:
      Rubanova et al. 2019, section 3.2, without the variational part; Chen et al. 2018, section 5.
    """

    encoder: JumpFlow = JumpFlow(directions=("backward",))
    field: nn.Module = MLPField(hidden=(256,), time=True)
    latent: int = 128
    config: SolveConfig = SolveConfig()
    excludes_own_token: ClassVar[bool] = False

    @nn.compact
    def __call__(
        self,
        embedded: Float[Array, "b l e"],
        times: Float[Array, "b l"],
        visible: Bool[Array, "b l"],
        mask: Bool[Array, "b l"],
        query: Float[Array, "b n"] | None = None,
        keys: Key[Array, " b"] | None = None,
    ) -> Hidden:
        """States at the token times, or at those of `query`; keys of the penalty's noise, one a sentence."""
        flow = self.encoder(embedded, times, visible & mask, mask, keys)
        z0 = nn.Dense(self.latent, name="start")(flow.after[0][:, 0])
        ts, real, order, n = times, mask, None, 0
        if query is not None:
            n = query.shape[1]
            order, ts = _merged(query, times)
            real = jnp.take_along_axis(jnp.concatenate([_rows(mask, n), mask], axis=1), order, axis=1)
        # The path starts at a time of its own, one token before the first, so that no reading is z0 itself.
        begin = times[:, :1] - 1.0
        path = NeuralODE(self.field, self.config, name="path")(
            z0,
            jnp.concatenate([begin, ts], axis=1),
            mask=jnp.concatenate([real.any(1, keepdims=True), real], axis=1),
            noise=signs(keys, z0),
        )
        ys = path.ys[:, 1:]
        stats = {key: path.stats[key] + count for key, count in flow.stats.items()}
        failed = path.failed | flow.failed
        penalty = _a_token(mask, path.penalty, flow.penalty)
        if order is None:
            return Hidden(ys, ys, stats, failed, penalty)
        ys = jnp.take_along_axis(ys, jnp.argsort(order, axis=1)[..., None], axis=1)
        return Hidden(ys[:, :n], ys[:, n:], stats, failed, penalty)


class Depth(nn.Module):
    """A weight-tied attention block integrated over depth, all positions of the sentence at once.

    Attributes:
      width: of the state at each position.
      field: the block as vector field.
      depth: length of the integration, in units of blocks.
      config: how depth is integrated; `steps` counts the whole depth.

    References:
      Li et al. 2022, ODE Transformer, eq. (2) and (4); Chen et al. 2018, eq. (2).
    """

    width: int = 128
    field: nn.Module = AttentionField()
    depth: float = 6.0
    config: SolveConfig = SolveConfig(steps=3)
    excludes_own_token: ClassVar[bool] = False

    @nn.compact
    def __call__(
        self,
        embedded: Float[Array, "b l e"],
        times: Float[Array, "b l"],
        visible: Bool[Array, "b l"],
        mask: Bool[Array, "b l"],
        query: Float[Array, "b n"] | None = None,
        keys: Key[Array, " b"] | None = None,
    ) -> Hidden:
        """States at the token times, or at those of `query`; keys of the penalty's noise, one a sentence."""
        y0, context = _positions(self, embedded, times, visible, mask, query)
        ts = jnp.broadcast_to(jnp.array([0.0, self.depth]), (y0.shape[0], 2))
        # One path for the whole sentence: the mean over the real tokens' entries is what it costs a token.
        noise = signs(keys, y0) * context.keys[..., None]
        solution = NeuralODE(self.field, self.config, name="block")(y0, ts, context, noise=noise)
        states = nn.LayerNorm(name="norm")(solution.ys[:, -1])
        return _read(states, embedded.shape[1], query, solution.stats, solution.failed, solution.penalty)


class Transformer(nn.Module):
    """The discrete twins: y <- y + block(y), `layers` times, with one block's weights or with each its own.

    With `tied=True` this is `Depth` solved by Euler's method with unit steps.

    Attributes:
      width: of the state at each position.
      field: the block, as for `Depth`.
      layers: how often it is applied.
      tied: whether all layers share their weights (ALBERT, Lan et al. 2020) or not (BERT, Devlin et al. 2019).
    """

    width: int = 128
    field: nn.Module = AttentionField()
    layers: int = 6
    tied: bool = True
    excludes_own_token: ClassVar[bool] = False

    @nn.compact
    def __call__(
        self,
        embedded: Float[Array, "b l e"],
        times: Float[Array, "b l"],
        visible: Bool[Array, "b l"],
        mask: Bool[Array, "b l"],
        query: Float[Array, "b n"] | None = None,
        keys: Key[Array, " b"] | None = None,
    ) -> Hidden:
        """States at the token times, or at those of `query`; keys are not looked at."""
        y, context = _positions(self, embedded, times, visible, mask, query)
        blocks = [
            self.field.copy(parent=self, name=f"block_{i}") for i in range(1 if self.tied else self.layers)
        ]
        for i in range(self.layers):
            y = y + blocks[i % len(blocks)](jnp.float32(i), y, context)
        states = nn.LayerNorm(name="norm")(y)
        return _read(states, embedded.shape[1], query, {}, jnp.zeros(y.shape[0], bool))


class MaskedInterpolator(WordModel):
    """Embeddings, a body that interpolates, and a read-out onto the embeddings again.

    Attributes:
      body: what carries information from the visible tokens to the times asked for.
    """

    body: Jump | Latent | Depth | Transformer = Jump()

    def __call__(
        self,
        batch: Batch,
        visible: Bool[Array | np.ndarray, "b l"] | None = None,
        query: Float[Array | np.ndarray, "b n"] | None = None,
        keys: Key[Array, " b"] | None = None,
    ) -> Interpolation:
        """Read-outs at the token times or those of `query`; tokens where `visible` is false are not seen.

        Args:
          keys: of the noise in a penalty on the paths, one a sentence; None: the same noise for all, always.
        """
        self.touch_tables()
        hidden = self.hidden(batch, visible, query, keys)
        return Interpolation(self.read_out(hidden.states), hidden.stats, hidden.failed, hidden.penalty)

    def contextual(self, batch: Batch) -> Float[Array, "b l h"]:
        """States of the body that contain the token itself, all real tokens visible."""
        return self.hidden(batch).contextual

    def hidden(
        self,
        batch: Batch,
        visible: Bool[Array | np.ndarray, "b l"] | None = None,
        query: Float[Array | np.ndarray, "b n"] | None = None,
        keys: Key[Array, " b"] | None = None,
    ) -> Hidden:
        """The states of the body, which are read out; arguments as of the call."""
        batch = jax.tree.map(jnp.asarray, batch)
        seen = batch.mask if visible is None else jnp.asarray(visible) & batch.mask
        embedded = self.embed(batch.values)
        # A hidden token's own vector must reach nothing, whatever the body does with it.
        embedded = jnp.where(seen[..., None], embedded, 0.0)
        asked = None if query is None else jnp.asarray(query)
        return self.body(embedded, batch.times, seen, batch.mask, asked, keys)


def _joined(directions):
    return jnp.concatenate(directions, axis=-1)


def _a_token(mask, *penalties):
    """The sum of the penalties [b] by the number of tokens; None when there is none."""
    known = [penalty for penalty in penalties if penalty is not None]
    return sum(known) / jnp.maximum(mask.sum(axis=1), 1) if known else None


def _merged(*times):
    """The order that sorts several rows of times into one, ties as they stand, and the sorted times."""
    times = jnp.concatenate(times, axis=1)
    order = jnp.argsort(times, axis=1, stable=True)
    return order, jnp.take_along_axis(times, order, axis=1)


def _rows(mask, n):
    """bool [b, n], true in the rows that have any real entry."""
    return jnp.broadcast_to(mask.any(axis=1, keepdims=True), (mask.shape[0], n))


def _with_mask_vector(module, embedded, visible):
    vector = module.param("mask_vector", nn.initializers.normal(1.0), (embedded.shape[-1],))
    return jnp.where(visible[..., None], embedded, vector)


def _positions(module, embedded, times, visible, mask, query):
    """States of all positions at depth 0, a query's after the tokens', and what attention has to know of them."""
    if query is not None:
        n = query.shape[1]
        embedded = jnp.pad(embedded, ((0, 0), (0, n), (0, 0)))
        visible = jnp.pad(visible, ((0, 0), (0, n)))
        times = jnp.concatenate([times, query], axis=1)
        mask = jnp.pad(mask, ((0, 0), (0, n)))  # Others do not attend to a query.
    x = nn.Dense(module.width, name="input")(_with_mask_vector(module, embedded, visible))
    return x, AttentionContext(times, mask)


def _read(states, length, query, stats, failed, penalty=None):
    return Hidden(states if query is None else states[:, length:], states[:, :length], stats, failed, penalty)
