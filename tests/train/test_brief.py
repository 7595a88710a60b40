import jax
import numpy as np

from odeembed.train.brief import fit


def test_a_few_steps_lower_the_loss_and_repeat_with_their_seed(tiny):
    text = tiny.Text(lengths=(6,))
    model, objective = text.specialise(tiny.Model()), tiny.Objective()
    loss = lambda params: objective(model, params, text.batch(99), jax.random.key(0), 0)["loss"].value  # noqa: E731
    one, again, other = (fit(model, objective, text.batch, 300, seed) for seed in (0, 0, 1))
    untrained = objective.init(model, jax.random.key(0), text.batch(0))
    assert loss(one) < loss(untrained) - 1
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert loss(other) != loss(one)
