"""A training step (forward, backward, Adam) that can be run again and again from the same start, by jax or torch."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

LEARNING_RATE = 1e-3
Arrays = Mapping[str, np.ndarray]


class Counts(NamedTuple):
    """Evaluations of the field in one step, as means over the rows.

    Attributes:
      evaluations: forward evaluations in the solve; what a backward pass repeats is not counted.
      most: those of the row that has most.
      accepted: accepted steps; None where the library does not say.
      rejected: rejected steps; None where the library does not say.
    """

    evaluations: float
    most: float
    accepted: float | None = None
    rejected: float | None = None


@dataclass(frozen=True)
class Step:
    """One training step, compiled and run once.

    Attributes:
      library: what solves; "limit" where nothing does.
      run: runs it from the start and waits for its end.
      reset: puts the start back, for libraries that update in place.
      losses: the loss at the start, and after one update.
      counts: evaluations of the field.
      first_seconds: CPU time from the Python function to the end of the first step: tracing, compiling, running; None
        where other steps were compiled meanwhile.
      temporary_bytes: memory beside arguments and results, as the compiler planned it; None where nobody tells.
    """

    library: str
    run: Callable[[], object]
    reset: Callable[[], object]
    losses: tuple[float, float]
    counts: Counts
    first_seconds: float | None
    temporary_bytes: int | None = None


def jax_step(library: str, loss: Callable[[Any, Any], Any], params: Arrays, data: Arrays) -> Step:
    """A compiled step for loss(params, data) -> (scalar, stats), with stats as in `Solution`."""
    optimizer = optax.adam(LEARNING_RATE)
    start: Any = jax.tree.map(jnp.asarray, dict(params))
    given = jax.tree.map(jnp.asarray, dict(data))
    moments = jax.block_until_ready(jax.jit(optimizer.init)(start))

    def step(params, moments, data):
        (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(params, data)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moments, value, stats

    begin = time.process_time()
    compiled = jax.jit(step).lower(start, moments, given).compile()
    after, moments_after, first, stats = jax.block_until_ready(compiled(start, moments, given))
    seconds = time.process_time() - begin
    _, _, second, _ = compiled(after, moments_after, given)
    memory = compiled.memory_analysis()
    return Step(
        library,
        lambda: jax.block_until_ready(compiled(start, moments, given)),
        lambda: None,
        (float(first), float(second)),
        counted(stats),
        seconds,
        None if memory is None else memory.temp_size_in_bytes,
    )


def counted(stats: Mapping[str, Any]) -> Counts:
    """The counts of all rows as one."""
    rows = {name: np.asarray(count, float) for name, count in stats.items()}
    return Counts(
        rows["evaluations"].mean(),
        rows["evaluations"].max(),
        rows["accepted"].mean(),
        rows["rejected"].mean(),
    )


def as_stats(counts: Counts) -> dict[str, Any]:
    """Counts as the stats of a batch of one."""
    known = {"evaluations": counts.evaluations, "accepted": counts.accepted, "rejected": counts.rejected}
    return {name: jnp.full(1, count or 0) for name, count in known.items()}


class Counted:
    """A torch field that counts how often it is called."""

    def __init__(self, field: Callable[..., Any]):
        self.field, self.calls = field, 0

    def __call__(self, *args: Any) -> Any:
        """What the field returns."""
        self.calls += 1
        return self.field(*args)


def torch_step(
    library: str,
    loss: Callable[[Callable[..., Any], Any, Any], Any],
    field: Callable[..., Any],
    params: Arrays,
    data: Arrays,
) -> Step:
    """A step of torch.optim.Adam for loss(field, params, data) -> scalar; the field's calls are counted."""
    from workloads.torch_solves import torch

    count = Counted(field)
    start = {name: torch.tensor(value) for name, value in params.items()}
    tensors = {name: value.clone().requires_grad_() for name, value in start.items()}
    given = {name: torch.tensor(value) for name, value in data.items()}
    optimizer = torch.optim.Adam(tensors.values(), lr=LEARNING_RATE, fused=True)

    def run():
        optimizer.zero_grad(set_to_none=True)
        value = loss(count, tensors, given)
        value.backward()
        optimizer.step()
        return value.item()

    def reset():
        with torch.no_grad():
            for name, value in tensors.items():
                value.copy_(start[name])

    begin = time.process_time()
    first = run()
    seconds = time.process_time() - begin
    calls = count.calls
    losses = (first, run())
    reset()
    return Step(library, run, reset, losses, Counts(calls, calls), seconds)


def bare(
    field: Callable[..., Any], params: Any, y: Any, counts: Counts, context: Any = None, *, recompute: bool
) -> Any:
    """y moved by as many evaluations as `counts` says, in scans with no solver: the limit of a step's speed.

    Rejected steps cost evaluations that nothing is differentiated through, so theirs are not differentiated here.
    Either the scan stores what its backward pass needs, or that computes each evaluation anew; which is faster depends
    on the field.
    """
    total = round(counts.evaluations)
    steps = (counts.accepted or 0) + (counts.rejected or 0)
    idle = round(total * (counts.rejected or 0) / steps) if steps else 0

    def move(y, i):
        dy = field(params, i / total, y, context)
        return jax.tree.map(lambda a, k: a + k / total, y, dy), None

    last = jax.checkpoint(move, prevent_cse=False) if recompute else move
    if idle:
        elsewhere, _ = jax.lax.scan(move, y, jnp.arange(idle, dtype=jnp.float32))
        # Not folded away by the compiler, since 0 * inf is not 0.
        y = jax.tree.map(lambda a, b: a + 0 * jax.lax.stop_gradient(b), y, elsewhere)
    return jax.lax.scan(last, y, jnp.arange(total - idle, dtype=jnp.float32))[0]
