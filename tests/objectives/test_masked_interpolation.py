"""Masking keeps its budget, padding cannot move the loss, means add up, the sampled softmax tends to the full one."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed import mean
from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator, Transformer
from odeembed.objectives.masked_interpolation import MaskedInterpolation, Masking
from odeembed.solve.config import Penalty, SolveConfig

V = 40


def batch_of(lengths, length, seed=0):
    mask = np.arange(length) < np.asarray(lengths)[:, None]
    values = np.random.default_rng(seed).integers(2, V, mask.shape)
    times = np.broadcast_to(np.arange(length, dtype=np.float32), mask.shape)
    index = np.arange(len(lengths), dtype=np.int32)
    return jax.tree.map(jnp.asarray, Batch(np.where(mask, values, 0).astype(np.int32), times, mask, index))


@pytest.fixture(scope="module")
def model():
    return MaskedInterpolator(V, 8, body=Jump(JumpFlow(8)), embed_std=1.0)


@pytest.fixture(scope="module")
def params(model):
    return MaskedInterpolation(targets="all").init(model, jax.random.key(0), batch_of([5, 8], 8))


def hide(masking, mask, groups=None, seeds=200):
    keys = jax.random.split(jax.random.key(1), seeds)
    return np.asarray(jax.vmap(lambda key: masking.hidden(key, jnp.asarray(mask), groups))(keys))


@pytest.mark.parametrize(
    "masking", [Masking(), Masking(0.25, law="uniform"), Masking(0.5, span=3.0)], ids=str
)
@pytest.mark.parametrize("real", [2, 7, 20])
def test_hidden_tokens_are_real_and_within_the_budget(masking, real):
    mask = np.arange(20) < real
    hidden = hide(masking, mask)
    budget = max(1, round(masking.rate * real))
    assert not hidden[:, ~mask].any()
    counts = hidden.sum(axis=1)
    assert counts.min() >= 1 and counts.max() <= budget <= masking.most(20)
    if masking == Masking():
        assert (counts == budget).all()


def test_every_place_is_hidden_about_as_often():
    share = hide(Masking(0.2), np.ones(20, bool), seeds=4000).mean(axis=0)
    np.testing.assert_allclose(share, 0.2, atol=5 * np.sqrt(0.2 * 0.8 / 4000))


def test_long_gaps_come_with_the_uniform_law_and_not_with_single_words():
    longest = lambda rows: max(len(run) for row in rows for run in "".join(map(str, 1 * row)).split("0"))  # noqa: E731
    assert longest(hide(Masking(0.25, law="uniform"), np.ones(40, bool))) >= 7
    assert longest(hide(Masking(0.05), np.ones(40, bool))) <= 2


def test_pieces_of_a_word_are_hidden_together():
    groups = jnp.array([0, 0, 0, 1, 2, 2, 3, 3, 4, 5, 6, 7])
    for row in hide(Masking(0.4), np.ones(12, bool), groups):
        for word in range(8):
            assert len(set(row[np.asarray(groups) == word])) == 1
    apart = hide(Masking(0.4, whole_words=False), np.ones(12, bool), groups)
    assert any(len(set(row[:3])) == 2 for row in apart)


@pytest.mark.parametrize("targets", ["all", "hidden"])
def test_padding_cannot_move_the_loss_and_halves_add_up(model, params, targets, sums_up):
    objective = MaskedInterpolation(targets=targets)
    run = jax.jit(lambda batch: objective(model, params, batch, jax.random.key(3), 7))
    sums_up(run, batch_of([5, 8, 3, 8], 8))


def penalised(**weights):
    return MaskedInterpolator(
        V, 8, body=Jump(JumpFlow(8, config=SolveConfig(penalty=Penalty(**weights)))), embed_std=1.0
    )


@pytest.mark.parametrize("targets", ["all", "hidden"])
def test_the_penalty_is_a_mean_over_targets_whatever_the_batch(params, targets):
    """Twice the weight is twice the penalty; nll and penalty add up to the loss; a half knows nothing of the other."""
    objective, batch = MaskedInterpolation(targets=targets), batch_of([5, 8, 3, 8], 8)

    def run(model, batch, step=7):
        return jax.jit(lambda batch: objective(model, params, batch, jax.random.key(3), step))(batch)

    plain = run(MaskedInterpolator(V, 8, body=Jump(JumpFlow(8)), embed_std=1.0), batch)
    once, twice = (run(penalised(kinetic=weight, jacobian=weight), batch) for weight in (1.0, 2.0))
    assert "penalty" not in plain and float(once["penalty"].total) > 1e-3
    np.testing.assert_allclose(twice["penalty"].total, 2 * once["penalty"].total, rtol=1e-5)
    np.testing.assert_allclose(once["loss"].total, plain["loss"].total + once["penalty"].total, rtol=1e-5)
    assert once["penalty"].count == once["loss"].count == plain["loss"].count
    model = penalised(kinetic=1.0, jacobian=1.0)
    halves = [
        run(model, jax.tree.map(lambda x, rows=rows: x[rows], batch))
        for rows in (jnp.array([0, 2]), jnp.array([1, 3]))
    ]
    np.testing.assert_allclose(mean.merge(*halves)["penalty"].total, once["penalty"].total, rtol=1e-5)
    dead = run(model, batch._replace(index=jnp.array([0, -1, 2, -1])))
    np.testing.assert_allclose(dead["penalty"].total, halves[0]["penalty"].total, rtol=1e-5)


def test_held_out_metrics_know_nothing_of_the_penalty(model, params):
    batch, objective = batch_of([5, 8], 8), MaskedInterpolation(targets="all")
    plain, found = (
        objective.evaluate(m, params, batch, jax.random.key(0)) for m in (model, penalised(kinetic=10.0))
    )
    assert plain.keys() == found.keys()
    for name, value in plain.items():
        np.testing.assert_allclose(found[name].total, value.total, rtol=1e-5, err_msg=name)


def test_jitter_moves_the_loss_and_leaves_evaluation_alone(model, params):
    still, moving = MaskedInterpolation(targets="all"), MaskedInterpolation(targets="all", jitter=0.4)
    batch, key = batch_of([5, 8], 8), jax.random.key(0)
    losses = [objective(model, params, batch, key, 0)["loss"].total for objective in (still, moving)]
    assert abs(losses[0] - losses[1]) > 1e-3
    for one, two in zip(
        *(jax.tree.leaves(o.evaluate(model, params, batch, key)) for o in (still, moving)), strict=True
    ):
        assert one == two


@pytest.mark.parametrize("jitter", [-0.1, 0.5])
def test_a_jitter_that_could_change_the_order_is_refused(jitter):
    with pytest.raises(ConfigError, match="jitter"):
        MaskedInterpolation(jitter=jitter)


def test_all_visible_tokens_are_targets_with_all_and_none_with_hidden(model, params):
    batch = batch_of([5, 8], 8)
    count = lambda targets: float(  # noqa: E731
        MaskedInterpolation(targets=targets)(model, params, batch, jax.random.key(3), 0)["loss"].count
    )
    assert count("all") == 13 and count("hidden") == 1 + 2


def test_all_targets_need_states_without_their_own_token():
    with pytest.raises(ConfigError, match="Transformer"):
        MaskedInterpolation(targets="all").init(
            MaskedInterpolator(V, 8, body=Transformer(8)), jax.random.key(0), batch_of([5], 8)
        )


class Peeker(nn.Module):
    """A stand-in model that knows the answers: its logits are 3 at the true word, less for words further away."""

    vocab_size: int = V

    def __call__(self, batch, visible=None, query=None):
        from odeembed.models.interpolator import Interpolation

        return Interpolation(
            batch.values[..., None].astype(jnp.float32), {}, jnp.zeros(len(batch.index), bool)
        )

    def logits(self, states):
        return 3.0 - jnp.abs(states - jnp.arange(V))


class Clock(Peeker):
    """A stand-in whose read-outs are the times themselves, and the loss of a token a function of its time alone."""

    def __call__(self, batch, visible=None, query=None, keys=None):
        from odeembed.models.interpolator import Interpolation

        return Interpolation(batch.times[..., None], {}, jnp.zeros(len(batch.index), bool))

    def logits(self, states):
        # The padding's id 0 has log-probability -log(1 + 39 exp(-t)); with values of 0 everywhere, the loss tells t.
        return jnp.where(jnp.arange(V) == 0, states, 0.0)


class Dice(Clock):
    """A stand-in whose penalty is a throw of each sentence's key."""

    def __call__(self, batch, visible=None, query=None, keys=None):
        assert keys is not None
        thrown = jax.vmap(jax.random.uniform)(keys)
        return super().__call__(batch)._replace(penalty=thrown)


def test_the_noise_of_the_penalty_is_of_the_sentence_and_the_step():
    batch = batch_of([8, 8], 8)

    def thrown(batch, step=0):
        one = lambda i: jax.tree.map(lambda x: x[i : i + 1], batch)  # noqa: E731
        objective, key = MaskedInterpolation(targets="all"), jax.random.key(1)
        return [float(objective(Dice(), {}, one(i), key, step)["penalty"].total) for i in range(2)]

    first, second = thrown(batch)
    assert first != second and thrown(jax.tree.map(lambda x: x[::-1], batch)) == [second, first]
    assert thrown(batch, 1) != [first, second] and thrown(batch) == [first, second]


def test_jitter_moves_every_time_by_less_than_it_says_and_by_the_sentence_alone():
    batch = batch_of([8, 8, 8], 8)
    batch = batch._replace(values=jnp.zeros_like(batch.values))

    def times(objective, batch, step=0):
        """The time of one token a row, read off its loss."""
        found = []
        for place in range(batch.mask.shape[1]):
            lone = batch._replace(mask=jnp.zeros_like(batch.mask).at[:, place].set(True))
            totals = [
                objective(
                    Clock(), {}, jax.tree.map(lambda x, i=i: x[i : i + 1], lone), jax.random.key(1), step
                )["loss"].total
                for i in range(len(batch.index))
            ]
            found.append([-float(np.log(np.expm1(total) / (V - 1))) for total in totals])
        return np.array(found).T

    still = MaskedInterpolation(targets="all")
    moving = dataclasses.replace(still, jitter=0.45)
    moves = times(moving, batch) - times(still, batch)
    np.testing.assert_allclose(times(still, batch), batch.times, atol=1e-2)
    assert np.abs(moves).max() < 0.46 and np.abs(moves).max() > 0.3 and len(np.unique(moves.round(3))) > 18
    swapped = jax.tree.map(lambda x: x[::-1], batch)
    np.testing.assert_allclose(times(moving, swapped), times(moving, batch)[::-1], atol=1e-2)
    assert np.abs(times(moving, batch, 1) - times(moving, batch)).max() > 0.1


def test_held_out_metrics_counted_by_hand():
    batch = batch_of([8, 8], 8)
    means = MaskedInterpolation(held_out=Masking(0.5)).evaluate(Peeker(), {}, batch, jax.random.key(0))
    values = {k: float(m.total) / max(float(m.count), 1) for k, m in means.items()}
    assert values["accuracy"] == values["top10"] == 1.0
    assert float(means["nll"].count) == 8
    gaps = sum(float(means[f"nll/gap{g}"].count) for g in range(1, 9))
    assert gaps == 8 and float(means["nll/gap1"].count) < 8
    hidden_sum = float(means["nll"].total)
    by_gap = sum(float(means[f"nll/gap{g}"].total) for g in range(1, 9))
    np.testing.assert_allclose(by_gap, hidden_sum, rtol=1e-5)
    lowest, highest = np.log(np.exp(-np.arange(40)).sum()), np.log(2 * np.exp(-np.arange(1, 40)).sum() + 1)
    assert lowest - 1e-5 <= values["nll"] <= highest + 1e-5


def test_the_sampled_softmax_tends_to_the_full_one(model, params):
    """Its bias falls with the number of negatives; with 20,000 draws over 40 words it is below a hundredth of a nat."""
    # Padding is never drawn, as no text holds it; the full softmax has to be told.
    params = params | {"bias": params["bias"].at[0].set(-1e9)}
    batch = batch_of([8] * 16, 8)
    loss = lambda negatives: float(  # noqa: E731
        MaskedInterpolation(targets="all", negatives=negatives)(model, params, batch, jax.random.key(3), 0)[
            "loss"
        ].total
        / (16 * 8)
    )
    full = loss(0)
    assert abs(loss(20_000) - full) < 0.01 < abs(loss(4) - full)


def test_evaluation_depends_on_the_sentence_and_not_on_its_batch(model, params):
    objective = MaskedInterpolation(shifts=(0.0, 0.5))
    run = jax.jit(lambda batch: objective.evaluate(model, params, batch, jax.random.key(3)))
    batch = batch_of([5, 8, 3, 8], 8)
    whole = run(batch)
    order = np.array([2, 0, 3, 1])
    shuffled = run(jax.tree.map(lambda x: x[order], batch))
    for name in whole:
        np.testing.assert_allclose(whole[name].total, shuffled[name].total, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(whole["accuracy/shift+0"].total, whole["accuracy"].total)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.0}, {"span": 0.5}, {"longest": 0}], ids=str)
def test_impossible_maskings_are_refused(wrong):
    with pytest.raises(ConfigError):
        Masking(**wrong)


def test_one_golden_step():
    """One SGD step on a fixed batch; renew the figures only when model, masking or noise were meant to change."""
    batch = batch_of([5, 8, 3, 8], 8)
    model = MaskedInterpolator(V, 8, body=Jump(JumpFlow(8)))
    objective = MaskedInterpolation(targets="all", negatives=16)
    params = objective.init(model, jax.random.key(0), batch)

    def loss(p, step):
        found = objective(model, p, batch, jax.random.key(1), step)["loss"]
        return found.total / found.count

    first, gradient = jax.value_and_grad(loss)(params, 0)
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    second = loss(jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient), 0)
    np.testing.assert_allclose([first, norm, second], GOLDEN, rtol=2e-4)


GOLDEN = (2.2014296, 1.8722385, 2.0322297)
