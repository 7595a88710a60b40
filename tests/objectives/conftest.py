"""What every objective of text keeps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed import mean


def keeps_its_sum(run, batch):
    """Padding cannot move the loss, a row of index -1 is none, and the halves of four rows add up to the whole.

    Args:
      run: batch -> means.
    """
    whole = run(batch)
    padded = batch._replace(values=jnp.where(batch.mask, batch.values, 9))
    np.testing.assert_allclose(run(padded)["loss"].total, whole["loss"].total, rtol=1e-6)
    halves = [run(jax.tree.map(lambda x, rows=rows: x[rows], batch)) for rows in (slice(0, 2), slice(2, 4))]
    added = mean.merge(*halves)["loss"]
    np.testing.assert_allclose(added.total, whole["loss"].total, rtol=1e-5)
    assert added.count == whole["loss"].count
    dead = batch._replace(index=jnp.array([0, 1, -1, -1]))
    np.testing.assert_allclose(run(dead)["loss"].total, halves[0]["loss"].total, rtol=1e-5)


@pytest.fixture(scope="session")
def sums_up():
    """The function of this file."""
    return keeps_its_sum
