import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from odeembed import mean
from odeembed.batch import Batch
from odeembed.train.state import init_state
from odeembed.train.step import add_micro_batches, make_step


@pytest.fixture
def parts(tiny):
    """model, objective and three batches; their rows have different numbers of real tokens."""
    text = tiny.Text(lengths=(6,))
    return text.specialise(tiny.Model()), tiny.Objective(), [text.batch(step) for step in range(3)]


def run(parts, optimizer, batches=None, **options):
    model, objective, known = parts
    state = init_state(model, objective, optimizer, known[0], 0, options.get("ema", 0.0))
    step = jax.jit(make_step(model, objective, optimizer, **options))
    states = [state]
    for batch in batches or known:
        states.append(step(states[-1], batch))
    return states


def test_the_update_is_the_gradient_of_the_mean_over_all_real_tokens(parts):
    model, objective, batches = parts
    before, after, *_ = run(parts, optax.sgd(1.0))

    def mean_loss(params):
        loss = objective(model, params, batches[0], before.key, before.step)["loss"]
        return loss.total / loss.count

    expected = jax.tree.map(jnp.subtract, before.params, jax.grad(mean_loss)(before.params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), after.params, expected)


@pytest.mark.parametrize("accumulate", [2, 4, 16])
def test_micro_batches_add_up_to_the_whole_batch(parts, accumulate):
    whole, split = run(parts, optax.sgd(1.0))[-1], run(parts, optax.sgd(1.0), accumulate=accumulate)[-1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), whole.params, split.params)
    assert whole.means["loss"].count == split.means["loss"].count


def test_micro_batches_interleave_the_rows_so_that_neighbours_stay_on_their_device():
    rows = Batch(*4 * [jnp.arange(8)])
    seen = add_micro_batches(lambda part: jax.nn.one_hot(part.index[0], 8), rows, 4)
    assert seen.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_a_batch_of_padding_alone_changes_nothing(parts):
    padding = parts[2][0]._replace(index=np.full(16, -1, np.int32), mask=np.zeros((16, 6), bool))
    before, after = run(parts, optax.sgd(1.0), [padding])
    assert after.means["loss"].count == 0
    jax.tree.map(np.testing.assert_array_equal, before.params, after.params)


def test_the_window_begins_anew_after_each_multiple_of_log_every(parts):
    _, *single = run(parts, optax.sgd(0.1), log_every=1)
    _, *windows = run(parts, optax.sgd(0.1), log_every=2)
    totals = [float(state.means["loss"].total) for state in single]
    assert [float(state.means["loss"].total) for state in windows] == pytest.approx(
        [totals[0], totals[0] + totals[1], totals[2]]
    )
    assert mean.summarise(windows[1].means)["gradient_norm"] == pytest.approx(
        sum(mean.summarise(state.means)["gradient_norm"] for state in single[:2]) / 2
    )


def test_a_nan_does_not_outlive_its_window(parts):
    model, objective, batches = parts
    poisoned = (model, type(objective)(poisoned_step=0), batches)
    _, first, second, _ = run(poisoned, optax.sgd(0.0), log_every=1)
    assert np.isnan(first.means["loss"].total)
    assert second.means["accuracy"].count > 0 and np.isfinite(second.means["accuracy"].total)


def test_the_average_follows_the_parameters_as_written(parts):
    states = run(parts, optax.sgd(1.0), ema=0.5)
    average = np.asarray(states[0].params["readout"]["kernel"])
    for step, state in enumerate(states[1:]):
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * np.asarray(state.params["readout"]["kernel"])
    np.testing.assert_allclose(states[-1].ema["readout"]["kernel"], average, atol=1e-6)


def test_the_noise_of_a_step_depends_on_the_step_alone(parts):
    same = [parts[2][0]] * 2
    frozen, again = (run(parts, optax.sgd(0.0), same, log_every=1) for _ in range(2))
    losses = [float(state.means["loss"].total) for state in frozen[1:]]
    assert losses == [float(state.means["loss"].total) for state in again[1:]]
    assert losses[0] != losses[1]


def test_a_step_in_bfloat16_learns_and_keeps_its_state_in_float32(parts):
    exact, rounded = (
        run(parts, optax.sgd(1.0), 4 * parts[2][:1], products=kind) for kind in ("float32", "bfloat16")
    )
    losses = [mean.summarise(state.means)["loss"] for state in rounded[1:]]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.9 * losses[0]
    assert {leaf.dtype for leaf in jax.tree.leaves(rounded[-1].params)} == {jnp.dtype("float32")}
    change = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), exact[1].params, rounded[1].params)
    assert all(0 < leaf < 1e-2 for leaf in jax.tree.leaves(change))


def test_a_step_in_float32_is_left_to_jax(parts):
    model, objective, batches = parts
    state = init_state(model, objective, optax.sgd(1.0), batches[0], 0, 0.0)
    programs = [
        jax.jit(make_step(model, objective, optax.sgd(1.0), **options)).lower(state, batches[0]).as_text()
        for options in ({}, {"products": "float32"}, {"products": "bfloat16"})
    ]
    assert programs[0] == programs[1]
    assert "precision = [DEFAULT, DEFAULT]" in programs[0] and "HIGHEST" not in programs[0]
    assert ["reduce_precision" in program for program in programs] == [False, False, True]
