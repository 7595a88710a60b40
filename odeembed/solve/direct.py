"""Gradients by differentiating through every operation: the only ones of any order and in either direction."""

import jax
import jax.numpy as jnp

from odeembed.solve.adaptive import Problem, Scheme
from odeembed.solve.adjoint import Readings, at_start


def direct(scheme: Scheme, problem: Problem) -> Readings:
    """Solves by a scan over `max_steps` tries, those after the end of all paths skipped.

    Forward and reverse mode, to any order; every intermediate is stored, and step sizes are held fixed.
    """
    problem = jax.tree.map(jnp.asarray, problem)
    first = scheme.begin(problem)
    rested = jax.eval_shape(scheme.attempt, problem, first)[1:]

    def one(walk, _):
        def skip(walk):
            step, curves = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), rested)
            return walk, step._replace(t=walk.t, leg=walk.leg), curves

        after, step, curves = jax.lax.cond(
            jnp.any(walk.active), lambda walk: scheme.attempt(problem, walk), skip, walk
        )
        return after, (step, walk.y, curves)

    walk, (steps, ys, curves) = jax.lax.scan(one, first, None, length=scheme.config.max_steps)
    ys = jax.tree.map(lambda all_but_last, last: jnp.concatenate([all_but_last, last[None]]), ys, walk.y)
    index, passed = scheme.index(problem.line, scheme.config.max_steps, steps)
    states = scheme.read(problem.line, index, steps, scheme.state(ys), curves)
    start, here = at_start(scheme, problem)
    stats = {"evaluations": walk.evaluations, "accepted": walk.accepted, "rejected": walk.rejected}
    return Readings(scheme.where(here, start, states), here | passed, walk.status, stats)
