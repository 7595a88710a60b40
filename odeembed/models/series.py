"""Models of irregular series: readers, the latent ODE, the predictor of what comes next, and the classifier."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.gru import GRUField
from odeembed.models.classified import Classified
from odeembed.models.controlled import Controlled
from odeembed.models.decoders import Decoded, FlowDecoder, JumpDecoder
from odeembed.models.encoders import Flow, JumpFlow, last_states
from odeembed.models.posterior import Posterior

_BACKWARD = JumpFlow(hidden=64, field=None, directions=("backward",))
_FORWARD = JumpFlow(hidden=64, directions=("forward",))


class Recurrent(nn.Module):
    """States of a series that flow, or rest, between its times and jump at each.

    Its inputs are the values, zeros where a channel was not seen, and which ones were seen. With a field in the flow
    this is the ODE-RNN, without one an RNN; an RNN with `gaps` is the RNN-dt, one with `decay` and a field that decays
    a relative of the GRU-D.

    Attributes:
      flow: the states.
      gaps: whether the distances to the times before and after are inputs too.
      clock: whether the time is an input too.
      decay: whether a channel that is not seen is given as what was last seen of it, which decays to 0 with time at a
        rate that is learned; the time since then is an input too.

    References:
      Rubanova et al. 2019, algorithm 1; Che et al. 2018, Recurrent Neural Networks for Multivariate Time Series with
      Missing Values, eq. (5), for the decay.
    """

    flow: JumpFlow = _FORWARD
    gaps: bool = False
    clock: bool = False
    decay: bool = False

    def setup(self):
        """The rates."""
        if self.decay:
            self.rate = nn.Dense(1, kernel_init=nn.initializers.ones, use_bias=True)

    def __call__(
        self,
        values: Float[Array, "b n c"],
        times: Float[Array, "b n"],
        mask: Bool[Array, "b n"],
        observed: Bool[Array, "b n"] | None = None,
    ) -> Flow:
        """The states before and after each time.

        Args:
          values: NaN where a channel was not seen.
          mask: which times are real.
          observed: at which of them the state jumps; None: at all.
        """
        observed = mask if observed is None else observed
        seen = ~jnp.isnan(values) & observed[..., None]
        x = jnp.where(seen, values, 0.0)
        return self.flow(self._inputs(x, seen, times, mask), times, observed, mask)

    def ends(self, flow: Flow, mask: Bool[Array, "b n"]) -> Float[Array, "b k"]:
        """The states after all that was seen, in each direction."""
        return last_states(flow, self.flow.directions, mask)

    def leg(
        self,
        h: Float[Array, "b h"],
        values: Float[Array, "b c"],
        ts: Float[Array, "b 3"],
    ) -> Float[Array, "b h"]:
        """The state before ts[:, 2], from that before ts[:, 1], where `values` are seen; ts[:, 0] comes before both."""
        mask = jnp.ones((h.shape[0], 3), bool)
        x = jnp.broadcast_to(values[:, None], (*mask.shape, values.shape[-1]))
        inputs = self._inputs(x, jnp.ones(x.shape, bool), ts, mask)
        jumps = jnp.array([True, False]) & mask[:, 1:]
        return self.flow(inputs[:, 1:], ts[:, 1:], jumps, mask[:, 1:], start=h).before[0][:, 1]

    def _inputs(self, x, seen, times, mask):
        parts = [x, seen.astype(x.dtype)]
        if self.decay:
            last, since = _last_seen(x, seen, times)
            left = jnp.exp(-nn.relu(self.rate(since[..., None])[..., 0]))
            parts = [jnp.where(seen, x, left * last), seen.astype(x.dtype), since]
        if self.gaps:
            parts.append(_gaps(times, mask))
        if self.clock:
            parts.append(times[..., None])
        return jnp.concatenate(parts, axis=-1)


def ends_of(
    times: Float[Array, "b n"], mask: Bool[Array, "b n"]
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """The first and the last real time of each row; 0 where there is none."""
    some = jnp.any(mask, axis=1)
    first = jnp.min(jnp.where(mask, times, jnp.inf), axis=1)
    last = jnp.max(jnp.where(mask, times, -jnp.inf), axis=1)
    return jnp.where(some, first, 0.0), jnp.where(some, last, 0.0)


def _gaps(times, mask):
    """The distances [b, n, 2] to the real times before and after, 0 where there is none."""
    before = jax.lax.cummax(jnp.where(mask, times, -jnp.inf), axis=1)
    before = jnp.pad(before[:, :-1], ((0, 0), (1, 0)), constant_values=-jnp.inf)
    after = jax.lax.cummin(jnp.where(mask, times, jnp.inf), axis=1, reverse=True)
    after = jnp.pad(after[:, 1:], ((0, 0), (0, 1)), constant_values=jnp.inf)
    sides = jnp.stack([before, after], axis=-1)
    known = jnp.isfinite(sides) & mask[..., None]
    return jnp.abs(jnp.where(known, sides - times[..., None], 0.0))


def _last_seen(x, seen, times):
    """What was last seen of each channel up to each time, 0 before the first, and how long ago that was."""
    number = jnp.where(seen, jnp.arange(x.shape[1])[None, :, None], -1)
    number = jax.lax.cummax(number, axis=1)
    found = jnp.maximum(number, 0)
    last = jnp.where(number >= 0, jnp.take_along_axis(x, found, axis=1), 0.0)
    at = jnp.take_along_axis(jnp.broadcast_to(times[..., None], x.shape), found, axis=1)
    return last, times[..., None] - jnp.where(number >= 0, at, times[:, :1, None])


class Means(nn.Module):
    """A layer of tanh and a linear one: from states to the means of what is seen.

    Attributes:
      channels: c.
      hidden: width of the layer between; 0: none.
    """

    channels: int = 1
    hidden: int = 20

    @nn.compact
    def __call__(self, states: Float[Array, "*b h"]) -> Float[Array, "*b c"]:
        """Means for states of any leading shape."""
        x = jnp.tanh(nn.Dense(self.hidden)(states)) if self.hidden else states
        return nn.Dense(self.channels)(x)


class Predicted(NamedTuple):
    """Means of what is seen of a series at some times.

    Attributes:
      means: float [b, n, c].
      stats: solver counts a row; empty for a discrete model.
      failed: bool [b].
      penalty: float [b], of the paths; None without one.
    """

    means: Any
    stats: dict[str, Any]
    failed: Any
    penalty: Any = None

    @property
    def states(self) -> Any:
        """The means, which are all that is read."""
        return self.means


class LatentODE(nn.Module):
    """Series to codes and back: a reader, a Gaussian code, and a path from it, on and back, that is read at any time.

    With a `JumpDecoder` without tokens and field this is the RNN-VAE.

    Attributes:
      reader: reads what is seen, with times counted from that of the code.
      decoder: the path.
      channels: c.
      latent: d, width of the code.
      hidden: of the layer between path and channels.
      anywhere: whether the code's time is any between the first and the last that is seen: drawn anew in every step of
        training, and afterwards the nearest to what is asked for. Otherwise it is 0.

    References:
      Chen et al. 2018, section 5, eq. (11) to (13); Rubanova et al. 2019, section 3.2, for the ODE-RNN as encoder.
    """

    reader: Recurrent = Recurrent(_BACKWARD)
    decoder: FlowDecoder | JumpDecoder = FlowDecoder(hidden=64, field=GRUField(condition=True))
    channels: int = 2
    latent: int = 8
    hidden: int = 20
    anywhere: bool = False

    def setup(self):
        """The map from the reader's last states to mean and spread, and the read-out."""
        self.moments = nn.Dense(2 * self.latent)
        self.read = Means(self.channels, self.hidden)

    def __call__(self, batch: Batch) -> Predicted:
        """The means at the series' own times, by the posterior's mean."""
        times, mask = jnp.asarray(batch.times), jnp.asarray(batch.mask)
        at = self.nearest(batch, times, mask) if self.anywhere else None
        return self.decode(self.posterior(batch, at).mean, times, mask, at)

    def posterior(self, batch: Batch, at: Float[Array, " b"] | None = None) -> Posterior:
        """q(z | x) of the code at a time; None: at 0."""
        batch = jax.tree.map(jnp.asarray, batch)
        times = batch.times if at is None else batch.times - at[:, None]
        flow = self.reader(batch.values, times, batch.mask)
        mean, log_std = jnp.split(self.moments(self.reader.ends(flow, batch.mask)), 2, axis=-1)
        return Posterior(mean, log_std, flow.stats, flow.failed)

    def decode(
        self,
        z: Float[Array, "b d"],
        ts: Float[Array, "b n"],
        mask: Bool[Array, "b n"],
        at: Float[Array, " b"] | None = None,
    ) -> Predicted:
        """The means at rising times.

        Args:
          mask: which times are real.
          at: the time of the code; None: 0, and no time is before it.
        """
        if at is None:
            return self._one_way(z, ts, mask)
        ts = ts - at[:, None]
        later = ts >= 0
        forth = self._one_way(z, ts, mask & later)
        back = self._one_way(z, jnp.flip(ts, axis=1), jnp.flip(mask & ~later, axis=1))
        means = jnp.where(later[..., None], forth.means, jnp.flip(back.means, axis=1))
        stats = jax.tree.map(jnp.add, forth.stats, back.stats)
        penalty = None if forth.penalty is None else forth.penalty + back.penalty
        return Predicted(means, stats, forth.failed | back.failed, penalty)

    def forecast(self, batch: Batch, ts: Float[Array, "b n"]) -> Predicted:
        """The means at other times, which rise, given what is seen in the batch.

        The path stops at the times of the batch too, so that a grid has steps as long as in training.
        """
        n, asked = ts.shape[1], jnp.ones(ts.shape, bool)
        at = self.nearest(batch, ts, asked) if self.anywhere else jnp.zeros(ts.shape[0])
        stops = jnp.concatenate([ts, jnp.asarray(batch.times)], axis=1)
        mask = jnp.concatenate([asked, jnp.asarray(batch.mask)], axis=1)
        order = jnp.argsort(stops, axis=1)
        stops, mask = (jnp.take_along_axis(x, order, axis=1) for x in (stops, mask))
        found = self.decode(self.posterior(batch, at).mean, stops, mask, at)
        places = jnp.argsort(order, axis=1)[:, :n, None]
        return found._replace(means=jnp.take_along_axis(found.means, places, axis=1))

    def nearest(self, batch: Batch, ts: Float[Array, "b n"], mask: Bool[Array, "b n"]) -> Float[Array, " b"]:
        """The time of the code nearest to the middle of what is asked for, between the first and last that is seen."""
        first, last = ends_of(jnp.asarray(batch.times), jnp.asarray(batch.mask))
        asked = ends_of(ts, mask)
        return jnp.clip((asked[0] + asked[1]) / 2, first, last)

    def _one_way(self, z, ts, mask):
        """The means at times that go one way from 0, up or down."""
        real = jnp.pad(mask, ((0, 0), (1, 0)), constant_values=True)
        ts = jnp.pad(ts, ((0, 0), (1, 0)))
        nothing = jnp.zeros((*ts.shape, 1))
        out: Decoded = self.decoder.along(z, nothing, ts, real, real)
        return Predicted(self.read(out.states[:, 1:]), out.stats, out.failed, out.penalty)


class SeriesPredictor(nn.Module):
    """The mean of what is seen next, from the state just before: autoregressive.

    Attributes:
      reader: what was seen, forward in time.
      channels: c.
      hidden: of the layer between states and channels.

    References:
      Rubanova et al. 2019, section 3.1.
    """

    reader: Recurrent = Recurrent()
    channels: int = 2
    hidden: int = 20

    def setup(self):
        """Checks the reader; the read-out."""
        if self.reader.flow.directions != ("forward",):
            raise ConfigError(
                f"what comes next is predicted from what was before; got directions {self.reader.flow.directions}. Set "
                f"--model.reader.flow.directions forward."
            )
        self.read = Means(self.channels, self.hidden)

    def __call__(self, batch: Batch) -> Predicted:
        """The means at the series' own times, each from what was seen before it."""
        batch = jax.tree.map(jnp.asarray, batch)
        flow = self.reader(batch.values, batch.times, batch.mask)
        return Predicted(self.read(flow.before[0]), flow.stats, flow.failed, flow.penalty)

    def forecast(self, batch: Batch, ts: Float[Array, "b n"]) -> Predicted:
        """The means at times that rise after all that is seen, each mean being taken for what is seen there."""
        batch = jax.tree.map(jnp.asarray, batch)
        times = jnp.concatenate([batch.times, ts[:, :1]], axis=1)
        mask = jnp.pad(batch.mask, ((0, 0), (0, 1)), constant_values=True)
        observed = jnp.pad(batch.mask, ((0, 0), (0, 1)))
        flow = self.reader(jnp.pad(batch.values, ((0, 0), (0, 1), (0, 0))), times, mask, observed)
        last = ends_of(batch.times, batch.mask)[1]
        reader, variables = self.reader.unbind()
        read, weights = self.read.unbind()

        def step(carry: Any, t: Any) -> tuple[Any, Any]:
            h, before, now = carry
            means = read.apply(weights, h)
            h = reader.apply(variables, h, means, jnp.stack([before, now, t], axis=1), method="leg")
            return (h, now, t), means

        # The state is carried one time further than is asked for.
        ahead = jnp.concatenate([ts[:, 1:], ts[:, -1:] + 1], axis=1)
        _, means = jax.lax.scan(step, (flow.before[0][:, -1], last, ts[:, 0]), ahead.T)
        return Predicted(jnp.moveaxis(means, 0, 1), flow.stats, flow.failed, flow.penalty)


class SeriesClassifier(nn.Module):
    """The class of a series from the states after all that was seen.

    Attributes:
      reader: `Recurrent`, or the neural CDE.
      channels: c.
      classes: k.
      hidden: of the layer between states and classes; 0: none.
    """

    reader: Recurrent | Controlled = Recurrent()
    channels: int = 2
    classes: int = 2
    hidden: int = 0

    @nn.compact
    def __call__(self, batch: Batch) -> Classified:
        """Logits [b, k]."""
        batch = jax.tree.map(jnp.asarray, batch)
        flow = self.reader(batch.values, batch.times, batch.mask)
        ends = self.reader.ends(flow, batch.mask)
        return Classified(Means(self.classes, self.hidden)(ends), flow.stats, flow.failed, flow.penalty)
