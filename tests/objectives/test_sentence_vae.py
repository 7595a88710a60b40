"""The bound against what it bounds; noise by sentence; free bits, annealing, dropout; and sharding."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.flow import ContinuousFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import (
    Annealing,
    CodeFlowMatching,
    SentenceELBO,
    importance_weighted_nll,
)

V = 12
MODEL = SentenceVAE(
    vocab_size=V,
    embed_dim=6,
    encoder=JumpFlow(4, None),
    decoder=JumpDecoder(JumpFlow(6, None, directions=("forward",))),
    latent=2,
    embed_std=1.0,
)


def batch_of(lengths, length=6, seed=0):
    mask = np.arange(length) < np.asarray(lengths)[:, None]
    values = np.random.default_rng(seed).integers(2, V, mask.shape)
    times = np.tile(np.arange(length, dtype=np.float32), (len(lengths), 1))
    index = np.arange(len(lengths), dtype=np.int32)
    return jax.tree.map(jnp.asarray, Batch(np.where(mask, values, 0).astype(np.int32), times, mask, index))


@pytest.fixture(scope="module")
def params():
    return SentenceELBO().init(MODEL, jax.random.key(0), batch_of([5, 6]))


@pytest.mark.parametrize(
    "objective",
    [SentenceELBO(), SentenceELBO(word_dropout=0.4, dropout=0.3, free_bits=0.3), SentenceELBO(negatives=5)],
    ids=["plain", "dropout", "sampled"],
)
def test_padding_cannot_move_the_loss_and_halves_add_up(params, objective, sums_up):
    run = jax.jit(lambda batch: objective(MODEL, params, batch, jax.random.key(3), 7))
    batch = batch_of([5, 6, 3, 6])
    assert run(batch)["loss"].count == 4
    sums_up(run, batch)


def test_the_importance_weighted_bound_rises_from_the_bound_to_the_likelihood(params):
    """With a code of two dimensions the integral over it can be taken on a grid."""
    batch = batch_of([3, 6, 1], seed=2)
    elbo = SentenceELBO()
    # Codes that say little, and posteriors as wide as the prior, so that no weight is much larger than the others.
    params = {name: jax.tree.map(lambda x: 0.3 * x, part) for name, part in params.items()}

    @jax.jit
    def bound(key):
        return elbo.evaluate(MODEL, params, batch, key)["elbo"].total / 3

    at = jnp.linspace(-6, 6, 81)
    grid = jnp.stack(jnp.meshgrid(at, at), -1).reshape(-1, 1, 2)

    @jax.jit
    def log_joint(z):
        z = jnp.broadcast_to(z, (3, 2))
        out = MODEL.apply({"params": params}, z, batch, method="decode").states
        logits = MODEL.apply({"params": params}, out, method="next_logits")
        targets = jnp.pad(batch.values, ((0, 0), (0, 1)))
        real = jnp.pad(batch.mask, ((0, 0), (1, 0)), constant_values=True)
        found = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)[..., 0]
        return jnp.sum(jnp.where(real, found, 0), 1) + MODEL.apply({"params": params}, z, method="log_prior")

    cell = float(at[1] - at[0]) ** 2
    exact = jax.nn.logsumexp(jax.lax.map(log_joint, grid), axis=0) + np.log(cell)
    weighted = jax.jit(lambda key: importance_weighted_nll(MODEL, params, batch, key, 2000))(
        jax.random.key(1)
    )
    np.testing.assert_allclose(-weighted, exact, atol=0.02)
    bounds = np.array([float(bound(jax.random.key(k))) for k in range(200)])
    assert bounds.mean() < float(exact.mean()) - 1e-3


def test_free_bits_cost_their_number_and_have_no_gradient():
    kl = jnp.array([[0.1, 2.0], [0.4, 0.3]])
    freed = lambda by: SentenceELBO(free_bits=0.5, free_bits_by=by)._freed  # noqa: E731
    np.testing.assert_allclose(freed("dimension")(kl), [2.5, 1.0])
    np.testing.assert_allclose(freed("sentence")(kl), [2.1, 0.7])
    np.testing.assert_allclose(jax.grad(lambda k: freed("dimension")(k).sum())(kl), [[0, 1], [0, 0]])


def test_annealing_holds_rises_and_begins_anew():
    plain = Annealing(0.0, 1.0, hold=2, rise=4)
    assert [float(plain(step)) for step in range(8)] == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1]
    cyclical = Annealing(0.0, 1.0, rise=2, cycle=4)
    assert [float(cyclical(step)) for step in range(8)] == [0.5, 1, 1, 1] * 2
    assert float(Annealing(0.1, 1.0, rise=10)(4)) == pytest.approx(0.55)
    assert float(Annealing(rise=0)(0)) == 1


def test_the_weight_enters_the_loss_and_a_sentence_s_two_terms_are_reported(params):
    objective = SentenceELBO(Annealing(0.3, 0.3))
    found = jax.jit(lambda p: objective(MODEL, p, batch_of([5, 2]), jax.random.key(0), 3))(params)
    by_hand = found["reconstruction"].total + 0.3 * found["kl"].total
    np.testing.assert_allclose(found["loss"].total, by_hand, rtol=1e-6)
    assert float(found["kl_weight"].value) == pytest.approx(0.3)


def test_a_language_model_and_an_autoencoder_by_the_same_code():
    batch = batch_of([5, 2])
    for model, objective in (
        (MODEL.clone(latent=None), SentenceELBO()),
        (MODEL, SentenceELBO(deterministic=True)),
    ):
        params = objective.init(model, jax.random.key(0), batch)
        assert ("encoder" in params) == (model.latent is not None)
        evaluate = jax.jit(lambda p, k, m=model, o=objective: o.evaluate(m, p, batch, k))
        loss = jax.jit(lambda p, k, m=model, o=objective: o(m, p, batch, k, 0)["loss"])
        for key in (0, 1):  # no noise
            found, nll = evaluate(params, jax.random.key(key)), loss(params, jax.random.key(key))
            np.testing.assert_allclose(found["nll"].total, nll.total, rtol=1e-5)
            assert found["nll"].count == 5 + 2 + 2 and float(found["kl"].total) == 0


def test_with_a_flow_as_prior_the_kl_term_is_that_of_its_density(params):
    model = MODEL.clone(prior=ContinuousFlow())
    batch, objective = batch_of([5, 2]), SentenceELBO(free_bits=0.1, free_bits_by="sentence")
    own = objective.init(model, jax.random.key(0), batch)
    # The flow is the identity at first: the estimate from many codes is the Gaussian's divergence.
    plain = {name: part for name, part in own.items() if name != "prior"}
    exact = jax.jit(lambda key: SentenceELBO().evaluate(MODEL, plain, batch, key))(jax.random.key(0))
    evaluate = jax.jit(lambda key: objective.evaluate(model, own, batch, key))
    found = [evaluate(jax.random.key(k)) for k in range(200)]
    many = [float(each["kl"].total) for each in found]
    np.testing.assert_allclose(np.mean(many), exact["kl"].total, atol=4 * np.std(many) / 200**0.5)
    np.testing.assert_allclose(found[0]["reconstruction"].total, exact["reconstruction"].total, rtol=1e-4)
    with pytest.raises(ConfigError, match="free_bits_by sentence"):
        dataclasses.replace(objective, free_bits_by="dimension").init(model, jax.random.key(0), batch)


def test_flow_matching_fits_the_prior_to_the_codes_and_moves_nothing_else(params):
    """The codes of four sentences, far from standard normal, become likely."""
    model = MODEL.clone(prior=ContinuousFlow(MLPField(hidden=(16,), time=True, size_at_start=0.0)))
    batch, objective = batch_of([3, 5, 2, 6]), CodeFlowMatching()
    own = objective.init(model, jax.random.key(0), batch)
    own["moments"] = {"kernel": 2 * own["moments"]["kernel"], "bias": jnp.array([2.0, -2.0, -2.0, -2.0])}
    loss = lambda p, step: objective(model, p, batch, jax.random.key(0), step)["loss"].total  # noqa: E731
    gradient = jax.jit(jax.grad(loss))
    found = gradient(own, 0)
    assert all((leaf == 0).all() for name in set(own) - {"prior"} for leaf in jax.tree.leaves(found[name]))
    evaluate = jax.jit(lambda p: objective.evaluate(model, p, batch, jax.random.key(1)))
    before, trained, adam = evaluate(own), own, optax.adam(1e-2)
    state = adam.init(own)

    @jax.jit
    def update(trained, state, step):
        change, state = adam.update(gradient(trained, step), state)
        return optax.apply_updates(trained, change), state

    for step in range(150):
        trained, state = update(trained, state, step)
    assert evaluate(trained)["prior_nll"].total < before["prior_nll"].total - 4
    with pytest.raises(ConfigError, match="needs a flow as prior"):
        objective.init(MODEL, jax.random.key(0), batch)


@pytest.mark.parametrize("wrong", [{"word_dropout": 1.0}, {"dropout": -0.1}, {"free_bits": -1.0}], ids=str)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        SentenceELBO(**wrong)
    with pytest.raises(ConfigError):
        Annealing(rise=-1)
    with pytest.raises(ConfigError, match="needs a code"):
        SentenceELBO(deterministic=True).init(MODEL.clone(latent=None), jax.random.key(0), batch_of([3]))


# Programs for eight devices take long to compile, and nothing here is timed.
EIGHT_DEVICES = {
    "JAX_NUM_CPU_DEVICES": "8",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
}
SHARDED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax
from test_sentence_vae import MODEL, SentenceELBO, batch_of
from odeembed.train.optimizer import Optimizer
from odeembed.train.parallel import make_parallel
from odeembed.train.state import init_state
from odeembed.train.step import make_step
objective = SentenceELBO(word_dropout=0.3, dropout=0.2, free_bits=0.1)
optimizer, batch = Optimizer(peak=0.005, warmup=2).build(4), batch_of([5, 6, 3, 6, 2, 4, 1, 6])
def losses(mode, devices, **sharded):
    layout = make_parallel(mode, jax.devices()[:devices], **sharded)
    state, found = layout.place_state(init_state(MODEL, objective, optimizer, batch, 0, 0.0)), []
    step = layout.map(make_step(MODEL, objective, optimizer, spread=layout.spread, gather=layout.gather), state)
    for _ in range(4):
        state = step(state, layout.place_batch(batch))
        found.append([float(m.total / m.count) for _, m in sorted(state.means.items())])
    return found
layouts = [losses(mode, 8) for mode in ("jit", "shard_map", "pmap")] + [losses("jit", 8, fsdp=2, tensor=2)]
print(json.dumps([losses("jit", 1), *layouts]))
"""


def test_on_eight_devices_the_losses_are_those_of_one():
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, str(Path(__file__).parent)],
        env=os.environ | EIGHT_DEVICES,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    one, *others = (np.array(found) for found in json.loads(done.stdout))
    assert (one[-1] != one[0]).any()
    for other in others:
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
