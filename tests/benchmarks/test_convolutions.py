"""The forms compute the same, and what they take becomes a table."""

import jax
import numpy as np
import pytest
from convolutions import FORMS, forms
from recording import write_result

from odeembed.results import tables


@pytest.mark.parametrize("looped", [True, False])
def test_every_form_has_the_same_loss_and_gradients(looped):
    found = {name: step.run() for name, step in forms(2, 3, 4, looped, gradient=True).items()}
    assert set(found) == set(FORMS)
    for one in found.values():
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(found["lax.conv"]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_the_table_has_both_directions_side_by_side(tmp_path):
    row = {"side": 6, "place": "in a loop", "form": "lax.conv", "milliseconds": 1.5, "over_ours": 1.0}
    rows = [row | {"gradient": gradient} for gradient in (False, True)]
    result = {"kind": "convolutions", "measured": rows}
    write_result(tmp_path / "benchmarks" / "results" / "convolutions.json", result)
    found = tables(tmp_path)["convolutions"].splitlines()
    assert found[2] == "| 6 x 6 | in a loop | lax.conv | 1.50 | 1.00 | 1.50 | 1.00 |"
