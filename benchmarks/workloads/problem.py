"""A problem with one solve, told once in jax and once in torch, and the variants of solving it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp

from odeembed.solve.config import SolveConfig
from odeembed.solve.solve import solve
from workloads.diffrax_solves import by_diffrax, by_diffrax_rows
from workloads.measuring import Build, limits
from workloads.steps import Arrays, Step, as_stats, bare, jax_step, torch_step


@dataclass(frozen=True)
class Problem:
    """dy/dt = field(params, t, y, context), y(ts[0]) = start(params, data), and a loss of y at ts.

    The functions of torch take the same arrays as tensors; its field takes (params, t, y, data).

    Attributes:
      params: what is trained.
      names: which of them the field uses; the others stay out of the solve.
      data: all other arrays; `ts` [n] is one of them.
      start: (params, data) -> y0.
      field: (params, t, y, context) -> dy/dt.
      context: data -> context.
      loss: (params, data, ys [b, n, ...]) -> scalar; of two times only the last need be there.
      torch_start: like `start`.
      torch_field: like `field`.
      torch_loss: like `loss`.
      to_torch: puts the axes of `params` in the order that torch wants.
    """

    params: Arrays
    names: tuple[str, ...]
    data: Arrays
    start: Callable[[Any, Any], Any]
    field: Callable[[Any, Any, Any, Any], Any]
    context: Callable[[Any], Any]
    loss: Callable[[Any, Any, Any], Any]
    torch_start: Callable[[Any, Any], Any]
    torch_field: Callable[[Any, Any, Any, Any], Any]
    torch_loss: Callable[[Any, Any, Any], Any]
    to_torch: Callable[[Arrays], Arrays] = lambda params: params

    def used(self, params: Any) -> Any:
        """The parameters of the field."""
        return {name: params[name] for name in self.names}


def variants(
    problem: Problem, config: SolveConfig, adjoints: Sequence[str], *, rows: bool = True, peers: bool = True
) -> dict[str, Build]:
    """Every way to solve a problem: ours with each gradient method and with steps row by row, the peers, the limit."""
    found: dict[str, Build] = {}
    for adjoint in adjoints:
        ours = replace(config, control="batch", adjoint=adjoint)
        found[f"odeembed, batch, {adjoint}"] = lambda _, c=ours: by_odeembed(problem, c)
    if rows:
        ours = replace(config, control="row", adjoint=adjoints[0])
        found[f"odeembed, row, {adjoints[0]}"] = lambda _, c=ours: by_odeembed(problem, c)
    found["diffrax"] = lambda _: _by_diffrax(problem, config, by_diffrax, axis=1)
    if rows:
        found["diffrax, vmap"] = lambda _: _by_diffrax(problem, config, by_diffrax_rows, axis=0)
    if peers:
        from workloads.torch_solves import by_torchdiffeq, by_torchode

        found["torchdiffeq"] = lambda _: _by_torch(problem, config, "torchdiffeq", by_torchdiffeq)
        if config.steps is None:
            found["torchode"] = lambda _: _by_torch(problem, config, "torchode", by_torchode)
    return found | limits(partial(limit, problem))


def by_odeembed(problem: Problem, config: SolveConfig) -> Step:
    """A step of `solve`."""

    def loss(params, data):
        y0, context = problem.start(params, data), problem.context(data)
        solution = solve(problem.field, problem.used(params), y0, data["ts"], config, context)
        return problem.loss(params, data, solution.ys), solution.stats

    return jax_step("odeembed", loss, problem.params, problem.data)


def limit(problem: Problem, reference: Step, *, recompute: bool) -> Step:
    """A step of as many bare evaluations as `reference` needs; the state they end in is read at all times."""
    counts = reference.counts

    def loss(params, data):
        y0, context = problem.start(params, data), problem.context(data)
        y = bare(problem.field, problem.used(params), y0, counts, context, recompute=recompute)
        times = len(data["ts"]) if len(data["ts"]) > 2 else 1
        ys = _each(lambda part: jnp.broadcast_to(part[:, None], (len(part), times, *part.shape[1:])), y)
        return problem.loss(params, data, ys), as_stats(counts)

    return jax_step("limit", loss, problem.params, problem.data)


def _by_diffrax(problem, config, solver, axis):
    def loss(params, data):
        y0, context = problem.start(params, data), problem.context(data)
        ys, stats = solver(problem.field, problem.used(params), y0, data["ts"], config, context)
        ys = ys if axis == 0 else _each(lambda y: jnp.moveaxis(y, 0, 1), ys)
        return problem.loss(params, data, ys), stats

    return jax_step("diffrax", loss, problem.params, problem.data)


def _by_torch(problem, config, library, solver):
    def loss(field, params, data):
        y0 = problem.torch_start(params, data)
        ys = solver(lambda t, y: field(params, t, y, data), y0, data["ts"], config)
        return problem.torch_loss(params, data, ys)

    return torch_step(library, loss, problem.torch_field, problem.to_torch(problem.params), problem.data)


def _each(function, y):
    return tuple(function(part) for part in y) if isinstance(y, tuple) else function(y)
