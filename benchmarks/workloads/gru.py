"""W2: a GRU-ODE between 32 token positions with a GRU jump at each observed one, and a softmax at the hidden ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import Jumps, solve
from workloads.diffrax_solves import by_diffrax
from workloads.layers import dense
from workloads.measuring import Build, Case, against_peers_and_limit, limits
from workloads.steps import Arrays, Step, as_stats, bare, jax_step, torch_step

GRID = SolveConfig(solver="midpoint", steps=2, control="batch")
ADAPTIVE = SolveConfig(solver="dopri5", steps=None, rtol=1e-3, atol=1e-3, control="batch")
_FLOW = ("gates", "gates_bias", "candidate", "candidate_bias")
_JUMP = ("recurrent",)


@dataclass(frozen=True)
class Sentences:
    """Weights, and sentences of which every fourth token is hidden, at a distance of 1 from token to token."""

    params: Arrays
    data: Arrays


def sentences(
    batch: int = 64, length: int = 32, vocabulary: int = 8000, embedding: int = 128, hidden: int = 256
) -> Sentences:
    """Random tokens; the hidden positions of a row are drawn, the first is never one."""
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(1, length), (batch, 1)), axis=1)
    positions = np.sort(order[:, : length // 4], axis=1)
    tokens = rng.integers(0, vocabulary, (batch, length))
    observed = np.ones((batch, length), bool)
    np.put_along_axis(observed, positions, False, axis=1)
    zeros = partial(np.zeros, dtype=np.float32)
    params = {
        "embedding": dense(rng, vocabulary, embedding, gain=float(np.sqrt(vocabulary))),
        "input": dense(rng, embedding, 3 * hidden),
        "input_bias": zeros(3 * hidden),
        "recurrent": dense(rng, hidden, 3 * hidden),
        "gates": dense(rng, hidden, 2 * hidden),
        "gates_bias": zeros(2 * hidden),
        "candidate": dense(rng, hidden, hidden),
        "candidate_bias": zeros(hidden),
        "out": dense(rng, hidden, embedding) / np.float32(np.sqrt(embedding)),
        "out_bias": zeros(vocabulary),
    }
    data = {
        "tokens": tokens,
        "observed": observed,
        "positions": positions,
        "label": np.take_along_axis(tokens, positions, axis=1),
        "ts": np.arange(length, dtype=np.float32),
    }
    return Sentences(params, data)


def cases(adjoints: Sequence[str], peers: bool = True) -> Iterator[Case]:
    """Two midpoint steps an interval, and steps by their error."""
    on_grid = [adjoint for adjoint in adjoints if adjoint != "backsolve"]
    made = variants(sentences(), GRID, on_grid, peers)
    yield Case("midpoint, 2 steps", made, partial(against_peers_and_limit, faster=1.75, adaptive=False), 1e-5)
    made = variants(sentences(), ADAPTIVE, adjoints, peers)
    yield Case("dopri5, 1e-3", made, partial(against_peers_and_limit, faster=3.8), 1e-2)


def variants(
    given: Sentences, config: SolveConfig, adjoints: Sequence[str], peers: bool = True
) -> dict[str, Build]:
    """Ours with each gradient method and row by row, diffrax an interval, torchdiffeq an interval, and the limit."""
    found: dict[str, Build] = {}
    for adjoint in adjoints:
        ours = replace(config, adjoint=adjoint)
        found[f"odeembed, batch, {adjoint}"] = lambda _, c=ours: by_odeembed(given, c)
    if config.steps is None:
        ours = replace(config, control="row", adjoint=adjoints[0])
        found[f"odeembed, row, {adjoints[0]}"] = lambda _, c=ours: by_odeembed(given, c)
    found["diffrax"] = lambda _: by_diffrax_intervals(given, config)
    if peers:
        found["torchdiffeq"] = lambda _: by_torchdiffeq_intervals(given, config)
    return found | limits(partial(limit, given))


def field(params: Any, t: Any, h: Any, context: Any = None) -> Any:
    """dh/dt = (1 - z) * (u - h) with r, z = sigmoid(W h), u = tanh(U (r * h)); De Brouwer et al. 2019, eq. (3)."""
    r, z = jnp.split(jax.nn.sigmoid(h @ params["gates"] + params["gates_bias"]), 2, axis=-1)
    u = jnp.tanh((r * h) @ params["candidate"] + params["candidate_bias"])
    return (1 - z) * (u - h)


def jump(params: Any, t: Any, h: Any, x: Any) -> Any:
    """A GRU cell with the input's part of the gates given as x; Cho et al. 2014, eq. (5) to (8)."""
    x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
    u_r, u_z, u_n = jnp.split(h @ params["recurrent"], 3, axis=-1)
    r, z = jax.nn.sigmoid(x_r + u_r), jax.nn.sigmoid(x_z + u_z)
    return (1 - z) * jnp.tanh(x_n + r * u_n) + z * h


def by_odeembed(given: Sentences, config: SolveConfig) -> Step:
    """One solve with jumps."""

    def states(params, x, data):
        jumps = Jumps(jump, x, data["observed"])
        solution = solve(field, params, _rest(params, x), data["ts"], config, jumps=jumps)
        return solution.ys, solution.stats

    return _jax_step("odeembed", given, states)


def by_diffrax_intervals(given: Sentences, config: SolveConfig) -> Step:
    """A scan over the intervals with a diffeqsolve in each."""

    def states(params, x, data):
        def interval(h, xs):
            x, seen = xs
            h = jnp.where(seen[:, None], jump(params, None, h, x), h)
            hs, stats = by_diffrax(field, params, h, data["ts"][:2], config)
            return hs[-1], (hs[-1], stats)

        _, (after, stats) = jax.lax.scan(interval, _rest(params, x), _by_interval(x, data))
        return _with_start(_rest(params, x), after), {name: jnp.sum(n)[None] for name, n in stats.items()}

    return _jax_step("diffrax", given, states)


def limit(given: Sentences, reference: Step, *, recompute: bool) -> Step:
    """All evaluations of the field one after the other, then all jumps."""

    def states(params, x, data):
        def interval(h, xs):
            x, seen = xs
            h = jnp.where(seen[:, None], jump(params, None, h, x), h)
            return h, h

        h0 = _rest(params, x)
        h = bare(field, params, h0, reference.counts, recompute=recompute)
        return _with_start(h0, jax.lax.scan(interval, h, _by_interval(x, data))[1]), as_stats(
            reference.counts
        )

    return _jax_step("limit", given, states)


def _jax_step(library, given, states):
    """A step for states(params of flow and jump, x [b, n, 3 h], data) -> (state before each jump [b, n, h], stats)."""

    def loss(params, data):
        x = params["embedding"][data["tokens"]] @ params["input"] + params["input_bias"]
        hs, stats = states({name: params[name] for name in (*_FLOW, *_JUMP)}, x, data)
        hidden = jnp.take_along_axis(hs, data["positions"][..., None], axis=1)
        logits = hidden @ params["out"] @ params["embedding"].T + params["out_bias"]
        found = jnp.take_along_axis(jax.nn.log_softmax(logits), data["label"][..., None], axis=-1)
        return -jnp.mean(found), stats

    return jax_step(library, loss, given.params, given.data)


def _rest(params: Mapping[str, Any], x: Any) -> Any:
    return jnp.zeros((len(x), len(params["recurrent"])))


def _by_interval(x, data):
    return jnp.moveaxis(x[:, :-1], 1, 0), data["observed"][:, :-1].T


def _with_start(h0, hs):
    return jnp.moveaxis(jnp.concatenate([h0[None], hs]), 0, 1)


def by_torchdiffeq_intervals(given: Sentences, config: SolveConfig) -> Step:
    """A loop over the intervals with an odeint in each."""
    from workloads.torch_solves import by_torchdiffeq, torch

    def torch_field(params, t, h):
        r, z = torch.addmm(params["gates_bias"], h, params["gates"]).sigmoid().chunk(2, dim=-1)
        u = torch.addmm(params["candidate_bias"], r * h, params["candidate"]).tanh()
        return (1 - z) * (u - h)

    def torch_jump(params, h, x):
        x_r, x_z, x_n = x.chunk(3, dim=-1)
        u_r, u_z, u_n = (h @ params["recurrent"]).chunk(3, dim=-1)
        r, z = (x_r + u_r).sigmoid(), (x_z + u_z).sigmoid()
        return (1 - z) * (x_n + r * u_n).tanh() + z * h

    def loss(field, params, data):
        tokens = torch.nn.functional.embedding(data["tokens"], params["embedding"])
        x = tokens @ params["input"] + params["input_bias"]
        h = x.new_zeros(len(x), len(params["recurrent"]))
        hs = [h]
        for i in range(x.shape[1] - 1):
            h = torch.where(data["observed"][:, i, None], torch_jump(params, h, x[:, i]), h)
            h = by_torchdiffeq(lambda t, y: field(params, t, y), h, data["ts"][:2], config)[:, -1]
            hs.append(h)
        hidden = torch.stack(hs, dim=1).take_along_dim(data["positions"][..., None], dim=1)
        logits = hidden @ params["out"] @ params["embedding"].T + params["out_bias"]
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), data["label"].flatten())

    return torch_step("torchdiffeq", loss, torch_field, given.params, given.data)
