"""Codes of sentences and back, on a model that has learned a few sentences by heart."""

import jax
import numpy as np
import pytest

from odeembed.codes import Coder, between
from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.decode import Decoding
from odeembed.errors import ConfigError, DataError
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.flow import ContinuousFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sentence_vae import SentenceELBO
from odeembed.train.optimizer import Optimizer
from odeembed.train.state import init_state
from odeembed.train.step import make_step

LINES = ["a cat sat", "the dog ran off", "birds sing", "a dog sat", "the cat ran off today"]
VOCABULARY = Words().build(LINES)
MODEL = SentenceVAE(
    vocab_size=VOCABULARY.size,
    embed_dim=16,
    encoder=JumpFlow(16, None),
    decoder=JumpDecoder(JumpFlow(16, None, directions=("forward",))),
    latent=4,
    embed_std=0.3,
)


@pytest.fixture(scope="module")
def coder():
    ids = [VOCABULARY.encode(line) for line in LINES]
    batch = padded(ids, list(range(len(ids))), (len(ids), 8), VOCABULARY.pad_id)
    objective, optimizer = (
        SentenceELBO(deterministic=True),
        Optimizer(peak=0.02, warmup=10, clip=5.0).build(200),
    )
    state = init_state(MODEL, objective, optimizer, batch, 0, 0.0)
    step = jax.jit(make_step(MODEL, objective, optimizer))
    for _ in range(200):
        state = step(state, batch)
    return Coder(MODEL, state.params, VOCABULARY, 6)


def test_what_was_learned_comes_back_in_its_order(coder):
    read = coder.read(LINES)
    assert read.unknown == read.cut == [0] * 5
    means, stds = coder.encode(read.ids)
    assert means.shape == stds.shape == (5, 4) and (stds > 0).all()
    for how in (Decoding(), Decoding(beam=3)):
        assert [VOCABULARY.decode(ids) for ids in coder.decode(means, how)] == LINES


def test_a_sentence_alone_has_the_code_it_has_among_others(coder):
    ids = coder.read(LINES).ids
    together = coder.encode(ids * 9)[0]  # more than one batch
    np.testing.assert_allclose(together[37], coder.encode([ids[37 % 5]])[0][0], rtol=1e-5, atol=1e-6)


def test_draws_repeat_with_their_seed(coder):
    codes = coder.prior(40, seed=1)
    np.testing.assert_array_equal(codes, coder.prior(40, seed=1))
    draw = Decoding(sample=True, temperature=2.0)
    first, again, other = (coder.decode(codes, draw, seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("way", ["straight", "spherical", "hidden"])
def test_a_walk_leads_from_one_sentence_to_the_other(coder, way):
    walk, _ = coder.interpolate(LINES[0], LINES[1], 5, way)
    assert [VOCABULARY.decode(walk.sentences[i]) for i in (0, -1)] == LINES[:2]
    assert walk.shares == [0, 0.25, 0.5, 0.75, 1] and len(walk.sentences) == 5


def test_ways_between_codes():
    a, b = np.array([[3.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)
    shares = np.linspace(0, 1, 3)
    straight, none = between(MODEL, {}, a, b, shares, "straight")
    np.testing.assert_allclose(straight[0], [[3, 0], [1.5, 2], [0, 4]])
    assert none is None
    arc, _ = between(MODEL, {}, a, b, shares, "spherical")
    np.testing.assert_allclose(arc[0], [[3, 0], [3.5 / 2**0.5] * 2, [0, 4]], atol=1e-6)
    same, _ = between(MODEL, {}, a, 2 * a, shares, "spherical")
    np.testing.assert_allclose(same[0], [[3, 0], [4.5, 0], [6, 0]], atol=1e-6)


def test_the_way_along_a_flow_has_its_ends_and_is_straight_at_its_base():
    model = MODEL.clone(prior=ContinuousFlow(MLPField(hidden=(8,), time=True)))
    batch = padded([[2]], [0], (1, 4), VOCABULARY.pad_id)
    params = jax.jit(model.init)(jax.random.key(0), batch)["params"]
    params = params | {"prior": jax.tree.map(lambda x: x + 0.05, params["prior"])}
    a, b = np.asarray(jax.random.normal(jax.random.key(1), (2, 3, 4)))
    codes, _ = between(model, params, a, b, np.linspace(0, 1, 3), "flow")
    np.testing.assert_allclose(codes[:, 0], a, atol=1e-3)
    np.testing.assert_allclose(codes[:, 2], b, atol=1e-3)
    base = jax.jit(lambda z: model.apply({"params": params}, z, method="to_base"))
    np.testing.assert_allclose(base(codes[:, 1]), (base(a) + base(b)) / 2, atol=1e-3)


def test_bad_sentences_are_named_and_long_ones_counted(coder):
    with pytest.raises(DataError, match="empty"):
        coder.read(["a cat sat", "  "])
    with pytest.raises(DataError, match="no word of 'quux'"):
        coder.read(["quux"])
    read = coder.read(["the cat ran off today the dog", "a quux sat"])
    assert read.cut == [1, 0] and read.unknown == [0, 1] and len(read.ids[0]) == 6


def test_ways_and_models_that_are_not_there_are_named(coder):
    with pytest.raises(ConfigError, match=r"no way 'crooked'.*straight"):
        coder.interpolate(LINES[0], LINES[1], 3, "crooked")
    with pytest.raises(ConfigError, match="flow as prior"):
        coder.interpolate(LINES[0], LINES[1], 3, "flow")
    for model, name in ((MODEL.clone(latent=None), "SentenceVAE"), (Seq2Seq(), "Seq2Seq")):
        with pytest.raises(ConfigError, match=f"this {name} has no codes"):
            Coder(model, {}, VOCABULARY, 6)
