"""Where paths have to stop and where they are read: times, masks and jumps as arrays that a loop can follow."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Timeline(NamedTuple):
    """The stops of all paths; p parts are solved side by side, b rows each, with at most m stops.

    Attributes:
      start: float [p, b], time of the initial state.
      stops: float [p, b, m], times at which a step must end, in the path's order.
      last: int [p, b], how many stops a row has.
      jumps: bool [p, b, m], whether the state jumps at the beginning of the way to each stop.
      events: int [p, b, m], which of the times that jump belongs to.
      ts: float [p, b, n], times at which states are read.
      arrivals: int [p, b, n], at which stop each is read, 0 for the start; None where states are read between stops.
      sound: bool [p, b], false where the times neither rise nor fall throughout though states are read between stops.
    """

    start: Any
    stops: Any
    last: Any
    jumps: Any
    events: Any
    ts: Any
    arrivals: Any
    sound: Any


def timeline(ts: Any, at: Any) -> Timeline:
    """Lays out a solve: every time is a stop where there are jumps, else only the last one is.

    Args:
      ts: float [p, b, n].
      at: bool [p, b, n], where the state jumps; None if it never does.
    """
    p, b, n = ts.shape
    start = ts[..., 0]
    if at is not None or n == 2:
        at = jnp.zeros(ts.shape, bool) if at is None else at
        # Equal times without a jump between them are one stop, so that a row which waits takes no steps.
        new = (ts[..., 1:] != ts[..., :-1]) | at[..., :-1]
        arrivals = jnp.pad(jnp.cumsum(new, axis=-1, dtype=jnp.int32), ((0, 0), (0, 0), (1, 0)))
        # The last of the times that share a stop: the one whose jump follows.
        events = jnp.sum(arrivals[..., None, :] <= jnp.arange(n)[:, None], axis=-1, dtype=jnp.int32) - 1
        last = arrivals[..., -1]
        stops = jnp.take_along_axis(ts, events[..., 1:], axis=-1)
        jumps = jnp.take_along_axis(at, events[..., :-1], axis=-1)
        return Timeline(start, stops, last, jumps, events[..., :-1], ts, arrivals, jnp.ones((p, b), bool))
    stops = ts[..., -1:]
    way = jnp.sign(stops - start[..., None])
    sound = jnp.all(way * jnp.diff(ts, axis=-1) >= 0, axis=-1) & jnp.all(
        jnp.diff(ts, axis=-1) * (way == 0) == 0, axis=-1
    )
    none = jnp.zeros((p, b, 1), jnp.int32)
    return Timeline(
        start, stops, (way[..., 0] != 0).astype(jnp.int32), none.astype(bool), none, ts, None, sound
    )


def wait_where_masked(ts: Any, mask: Any) -> Any:
    """Replaces each masked time by the last real one before it, or by the first real one; [b, n]."""
    here = jnp.where(mask, jnp.arange(ts.shape[1]), -1)
    last = jax.lax.cummax(here, axis=1)
    last = jnp.where(last < 0, jnp.argmax(mask, axis=1, keepdims=True), last)
    return jnp.take_along_axis(ts, last, axis=1)
