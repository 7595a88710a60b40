from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.batch import Batch
from odeembed.evaluate.fractional_times import FractionalTimes
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation


def test_at_no_shift_it_is_the_accuracy_of_the_evaluation_and_only_every_nth_batch_is_read():
    rng = np.random.default_rng(0)
    batches = [
        jax.tree.map(
            jnp.asarray,
            Batch(
                rng.integers(2, 9, (4, 8)).astype(np.int32),
                np.broadcast_to(np.arange(8, dtype=np.float32), (4, 8)),
                np.ones((4, 8), bool),
                np.arange(4 * i, 4 * i + 4, dtype=np.int32),
            ),
        )
        for i in range(3)
    ]
    model, objective = MaskedInterpolator(9, 4, body=Jump(JumpFlow(4)), embed_std=1.0), MaskedInterpolation()
    params = objective.init(model, jax.random.key(0), batches[0])
    asked = []
    dataset = SimpleNamespace(evaluation=lambda split: asked.append(split) or iter(batches))
    run = SimpleNamespace(
        model=model, params=params, dataset=dataset, experiment=SimpleNamespace(objective=objective, seed=5)
    )
    found = FractionalTimes(shifts=(-0.5, 0.0), every=2)(run)
    assert asked == ["test"] and set(found) == {"accuracy/shift-0.5", "accuracy/shift+0"}
    direct = [objective.evaluate(model, params, batches[i], jax.random.key(5))["accuracy"] for i in (0, 2)]
    wanted = sum(float(m.total) for m in direct) / sum(float(m.count) for m in direct)
    assert abs(found["accuracy/shift+0"] - wanted) < 1e-6
