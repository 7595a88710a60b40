"""A solve that keeps nothing reads the same states as one that records its steps."""

import jax
import numpy as np
import pytest

from odeembed.solve.adaptive import Problem, Scheme
from odeembed.solve.config import SolveConfig
from odeembed.solve.march import march
from odeembed.solve.replay import replay
from odeembed.solve.timeline import timeline

CONFIG = SolveConfig(solver="bosh3", steps=None, rtol=1e-4, atol=1e-5, max_steps=120)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("jumping", [False, True])
def test_it_reads_what_a_recorded_solve_reads(rejecting, jumping):
    (params, y0, context, ts, inputs), at = rejecting.problem(6)
    line = timeline(ts[None], at[None] if jumping else None)
    scheme = Scheme(
        rejecting.field, rejecting.jump if jumping else None, CONFIG, jax.tree.structure(0), not jumping
    )
    problem = Problem(params, context, y0, line, inputs if jumping else None)
    kept = jax.jit(lambda p: replay(scheme, p))(problem)
    found, gone = jax.jit(lambda p: march(scheme, p, record=True))(problem)
    np.testing.assert_allclose(found.ys, kept.ys, rtol=1e-9, atol=1e-9)
    assert found.reached.all() and found.status.tolist() == kept.status.tolist()
    for count in found.stats:
        assert found.stats[count].tolist() == kept.stats[count].tolist()
    taken = np.asarray(gone.steps.taken)
    assert taken[: int(gone.count)].any((1, 2)).all() and not taken[int(gone.count) :].any()
    assert taken.sum((0, 1)).tolist() == found.stats["accepted"][0].tolist()
