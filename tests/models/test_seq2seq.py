"""A code and what is attended to are all that is known of a source; token by token is the whole at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.models.decoders import FlowDecoder, JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.solve.config import SolveConfig

JUMP = JumpDecoder(JumpFlow(8, directions=("forward",)))


def half(lengths, width, seed):
    mask = np.arange(width) < np.array(lengths)[:, None]
    values = np.where(mask, np.random.default_rng(seed).integers(2, 10, mask.shape), 0)
    times = np.tile(np.arange(width, dtype=np.float32), (len(lengths), 1))
    return Batch(values.astype(np.int32), times, mask, np.arange(len(lengths), dtype=np.int32))


TARGET = half((3, 5, 1), 5, 1)
BATCH = jax.tree.map(jnp.asarray, half((4, 2, 6), 6, 0)._replace(target=TARGET))


def built(heads, decoder=JUMP):
    model = Seq2Seq(
        vocab_size=10, embed_dim=6, encoder=JumpFlow(4, None), decoder=decoder, latent=5, heads=heads
    )
    params = model.init(jax.random.key(0), BATCH)
    return model, jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(1), x.shape), params)


@pytest.mark.parametrize(("heads", "decoder"), [(0, JUMP), (2, JUMP), (2, FlowDecoder(8))])
def test_token_by_token_the_logits_are_those_of_the_whole_sentence(heads, decoder):
    model, params = built(heads, decoder)
    apply = lambda method, *args: jax.jit(lambda *a: model.apply(params, *a, method=method))(*args)  # noqa: E731
    heard = apply("encode", BATCH)
    assert (heard.memory is None) == (heads == 0) and heard.code.shape == (3, 5)
    out = apply("decode", heard, BATCH.target)
    whole = apply("logits", apply("read", out.states, heard))
    assert whole.shape == (3, 6, 10)
    h = apply("start", heard)
    for i in range(6):
        logits = apply("next_logits", h, heard)
        for row, length in enumerate((3, 5, 1)):
            if i <= length:
                np.testing.assert_allclose(logits[row], whole[row, i], atol=1e-5)
        if i < 5:
            h = apply("advance", h, heard, BATCH.target.values[:, i], jnp.full(3, float(i)))


def test_padding_of_the_source_is_neither_in_the_code_nor_attended_to():
    model, params = built(2)
    shifted = jnp.where(BATCH.mask, BATCH.values, 7)

    def logits(batch):
        heard = model.apply(params, batch, method="encode")
        states = model.apply(params, heard, batch.target, method="decode").states
        return model.apply(params, states, heard, method="read")

    np.testing.assert_array_equal(logits(BATCH), logits(BATCH._replace(values=shifted)))
    other = BATCH._replace(values=BATCH.values.at[0, 3].set((BATCH.values[0, 3] + 1) % 10))
    assert float(jnp.abs(logits(BATCH) - logits(other))[0].min(axis=-1).max()) > 0
    np.testing.assert_array_equal(logits(BATCH)[1:], logits(other)[1:])


def test_attention_reaches_what_the_code_does_not_say():
    model, params = built(2)
    heard = model.apply(params, BATCH, method="encode")
    states = model.apply(params, heard, BATCH.target, method="decode").states
    silent = heard._replace(memory=jnp.zeros_like(heard.memory))
    assert not np.allclose(
        model.apply(params, states, heard, method="read"), model.apply(params, states, silent, method="read")
    )
    found = model.apply(params, states, heard, method="read", mutable=["intermediates"])[1]["intermediates"]
    (weights,) = found["attention"]["attention_weights"]
    assert weights.shape == (3, 2, 6, 6)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert not weights[0, ..., 4:].any() and not weights[1, ..., 2:].any()


def test_a_batch_without_a_target_is_its_own():
    model, params = built(0)
    alone = BATCH._replace(target=None)
    np.testing.assert_array_equal(
        model.apply(params, alone).states, model.apply(params, BATCH._replace(target=alone)).states
    )


FINE = SolveConfig(solver="rk4", steps=4)


@pytest.mark.parametrize(
    "decoder",
    [JumpDecoder(JumpFlow(8, config=FINE, directions=("forward",))), FlowDecoder(8, config=FINE)],
    ids=["jump", "flow"],
)
def test_states_between_the_tokens_lie_on_the_way_from_one_to_the_next(decoder):
    model, params = built(0, decoder)
    batch = jax.tree.map(lambda x: x[1:2], BATCH)
    heard = model.apply(params, batch, method="encode")
    whole = model.apply(params, heard, batch.target, method="decode").states[0]
    ts = jnp.sort(jnp.concatenate([jnp.arange(-1.0, 6.0), jnp.arange(5) + 0.99]))
    whole_number = ts == jnp.round(ts)
    tokens = whole_number & (ts >= 0) & (ts < 5)
    values = jnp.where(tokens, batch.target.values[0, jnp.clip(ts, 0, 4).astype(int)], 0)
    all_of_them = values[None], ts[None], tokens[None], jnp.ones_like(tokens)[None]
    path = np.asarray(model.apply(params, heard, *all_of_them, method="along").states[0])
    np.testing.assert_allclose(path[np.asarray(whole_number & (ts >= 0))], whole, atol=1e-4)
    for k in range(5):
        before = path[int(np.flatnonzero(np.isclose(ts, k + 0.99))[0])]
        assert np.abs(before - whole[k + 1]).max() < 0.1 * np.abs(whole[k] - whole[k + 1]).max()


BARE = JumpDecoder(JumpFlow(8, None, directions=("forward",)), tokens=False, waves=2)


@pytest.mark.parametrize("decoder", [JUMP, FlowDecoder(8, config=FINE), BARE], ids=["jump", "flow", "bare"])
def test_to_drift_is_to_go_on_without_a_jump(decoder):
    model, params = built(0, decoder)
    apply = lambda method, *args: jax.jit(lambda *a: model.apply(params, *a, method=method))(*args)  # noqa: E731
    heard, ts = apply("encode", BATCH), jnp.tile(jnp.array([-1.0, -1.0, 0.0, 0.0, 0.5, 1.0]), (3, 1))
    tokens = jnp.zeros(ts.shape, bool).at[:, 2].set(True)
    path = apply("along", heard, jnp.full(ts.shape, 4), ts, tokens, ~jnp.zeros_like(tokens)).states
    steps = ((1, path[:, 1], -1.0, 0.0), (3, path[:, 3], 0.0, 0.5), (4, path[:, 4], 0.5, 1.0))
    for i, h, t0, t1 in steps:
        drifted = apply("drift", h, heard, jnp.full(3, t0), jnp.full(3, t1))
        np.testing.assert_allclose(drifted, path[:, i + 1], atol=1e-5)
        np.testing.assert_array_equal(apply("drift", h, heard, jnp.full(3, t0), jnp.full(3, t0)), h)
    assert np.abs(path[:, 3] - path[:, 2]).max() > 0.01 or isinstance(decoder, FlowDecoder)
