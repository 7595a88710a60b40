"""Token by token a decoder is what it is at once; a code reaches every state; densities are those of Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import FlowDecoder, JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.flow import ContinuousFlow
from odeembed.models.sentence_vae import SentenceVAE

LENGTHS, L = (4, 2, 0), 5
FORWARD = {"directions": ("forward",)}
DECODERS = {
    "jump": JumpDecoder(JumpFlow(8, **FORWARD)),
    "gru": JumpDecoder(JumpFlow(8, field=None, **FORWARD)),
    "flow": FlowDecoder(8),
    "inputless gru": JumpDecoder(JumpFlow(8, field=None, **FORWARD), tokens=False, waves=3),
}


def batch_of(values):
    mask = np.arange(L) < np.array(LENGTHS)[:, None]
    times = np.tile(np.arange(L, dtype=np.float32), (len(LENGTHS), 1))
    index = np.array([0, 1, -1], np.int32)
    return jax.tree.map(jnp.asarray, Batch(np.where(mask, values, 0).astype(np.int32), times, mask, index))


BATCH = batch_of(np.random.default_rng(0).integers(2, 10, (3, L)))


def built(latent=3, decoder="jump", **settings):
    model = SentenceVAE(
        vocab_size=10,
        embed_dim=6,
        encoder=JumpFlow(4, None),
        decoder=DECODERS[decoder],
        latent=latent,
        **settings,
    )
    params = model.init(jax.random.key(0), BATCH)
    return model, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(1), x.shape), params)


@pytest.mark.parametrize("latent", [3, None])
@pytest.mark.parametrize("decoder", DECODERS)
def test_token_by_token_the_states_are_those_of_the_whole_sentence(decoder, latent):
    model, params = built(latent, decoder)
    z = jnp.ones((3, 1)) if latent is None else jax.random.normal(jax.random.key(2), (3, 3))
    whole = model.apply(params, z, BATCH, method="decode").states
    assert whole.shape == (3, L + 1, 8)
    h = jax.jit(lambda z: model.apply(params, z, method="start"))(z)
    advance = jax.jit(lambda h, tokens, t: model.apply(params, h, z, tokens, t, method="advance"))
    for i in range(max(LENGTHS) + 1):
        for row, length in enumerate(LENGTHS):
            if i <= length:
                np.testing.assert_allclose(h[row], whole[row, i], rtol=2e-5, atol=2e-6)
        tokens, t = BATCH.values[:, min(i, L - 1)], jnp.full(3, float(i))
        h = advance(h, tokens, t)


@pytest.mark.parametrize(("decoder", "reads"), [("jump", True), ("flow", False), ("inputless gru", False)])
def test_what_is_read_before_a_token_does_not_know_it(decoder, reads):
    """Another token number 1 changes states from number 2 on, where tokens are read at all."""
    model, params = built(decoder=decoder)
    other = BATCH._replace(values=BATCH.values.at[0, 1].set(9 if BATCH.values[0, 1] != 9 else 8))
    z = jnp.ones((3, 3))
    first, second = (model.apply(params, z, batch, method="decode").states[0] for batch in (BATCH, other))
    np.testing.assert_array_equal(first[:2], second[:2])
    assert (jnp.abs(first[2:5] - second[2:5]).max() > 1e-3) == reads


def test_a_code_reaches_the_first_state_and_words_not_shown_are_zeros():
    model, params = built()
    states = [
        model.apply(params, z, BATCH, method="decode").states for z in (jnp.zeros((3, 3)), jnp.ones((3, 3)))
    ]
    assert jnp.abs(states[0] - states[1])[:2, 0].min(axis=1).max() > 1e-3
    shown = jnp.zeros(BATCH.mask.shape, bool)
    blind = [
        model.apply(params, jnp.ones((3, 3)), batch, shown, method="decode").states
        for batch in (BATCH, BATCH._replace(values=jnp.where(BATCH.mask, 7, 0)))
    ]
    np.testing.assert_array_equal(*blind)


def test_the_encoder_reads_the_whole_sentence_and_nothing_after_it():
    model, params = built()
    mean = model.apply(params, BATCH, method="posterior").mean
    padding = BATCH._replace(values=jnp.where(BATCH.mask, BATCH.values, 9))
    np.testing.assert_allclose(model.apply(params, padding, method="posterior").mean, mean, rtol=1e-6)
    for place in range(4):
        other = BATCH._replace(values=BATCH.values.at[0, place].add(1 - 2 * (BATCH.values[0, place] == 9)))
        changed = model.apply(params, other, method="posterior").mean
        assert jnp.abs(changed[0] - mean[0]).max() > 1e-4
        np.testing.assert_allclose(changed[1], mean[1], rtol=1e-6)


def test_with_flows_codes_and_their_densities_go_through_them():
    flow = ContinuousFlow(MLPField(hidden=(8,), time=True))
    model, params = built(prior=flow, posterior_flow=flow)
    posterior = model.apply(params, BATCH, method="posterior")
    noise = jax.random.normal(jax.random.key(3), (3, 3))
    code = model.apply(params, posterior, noise, method="code")
    own = {"params": params["params"]["posterior_flow"]}
    carried = flow.apply(own, posterior.sample(noise), method="forward")
    np.testing.assert_allclose(code.z, carried.x, rtol=1e-5)
    np.testing.assert_allclose(
        code.log_posterior, posterior.log_prob(posterior.sample(noise)) - carried.log_det, rtol=1e-5
    )
    prior = {"params": params["params"]["prior"]}
    np.testing.assert_allclose(
        model.apply(params, code.z, method="log_prior"), flow.apply(prior, code.z).log_prob, rtol=1e-5
    )
    base = model.apply(params, code.z, method="to_base")
    np.testing.assert_allclose(model.apply(params, base, method="from_base"), code.z, atol=1e-3)
