"""A model that has learned a few pairs by heart says them, alone or among others, greedily or by beam."""

import jax
import jax.numpy as jnp
import pytest

from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.decode import Decoding
from odeembed.errors import ConfigError
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sequence import SequenceNLL
from odeembed.train.brief import fit
from odeembed.translate import Translator

SOURCES = ["one two", "two one three", "four"]
TARGETS = ["un deux", "deux un trois", "quatre"]
WORDS = Words().build(SOURCES + TARGETS)
MODEL = Seq2Seq(
    vocab_size=WORDS.size,
    embed_dim=12,
    encoder=JumpFlow(8, None),
    decoder=JumpDecoder(JumpFlow(12, None, directions=("forward",))),
    latent=6,
    heads=2,
    embed_std=0.3,
)


@pytest.fixture(scope="module")
def translator():
    halves = [
        padded([WORDS.encode(line) for line in lines], [0, 1, 2], (3, 4), WORDS.pad_id)
        for lines in (SOURCES, TARGETS)
    ]
    batch = jax.tree.map(jnp.asarray, halves[0]._replace(target=halves[1]))
    return Translator(MODEL, fit(MODEL, SequenceNLL(), lambda step: batch, 300, 0), WORDS, 6)


@pytest.mark.parametrize("how", [Decoding(), Decoding(beam=3, alpha=0.6)], ids=["greedy", "beam"])
def test_what_was_learned_is_said(translator, how):
    ids = translator.read(SOURCES).ids
    assert [WORDS.decode(said) for said in translator.translate(ids, how)] == TARGETS


def test_a_sentence_among_longer_ones_and_in_a_second_batch_is_said_as_alone(translator):
    ids = translator.read(SOURCES).ids
    many = [ids[0], ids[1] * 7, *ids * 20]
    said = translator.translate(many)
    assert said[0] == translator.translate([ids[0]])[0]
    assert [WORDS.decode(one) for one in said[2:]] == TARGETS * 20


def test_another_model_does_not_translate():
    with pytest.raises(ConfigError, match="MaskedInterpolator"):
        Translator(MaskedInterpolator(), {}, WORDS, 6)
