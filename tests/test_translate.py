"""A model that has learned a few pairs by heart says them, alone or among others, greedily, by beam, or mixed."""

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


@pytest.mark.parametrize("at", [-1.0, 0.0, 0.5, 2.0])
def test_a_mixture_of_all_of_one_sentence_is_that_one(translator, at):
    ids = translator.read(SOURCES[:2]).ids
    walk = translator.mix(*ids, at, [0.0, 0.4, 0.6, 1.0])
    said = [WORDS.decode(one) for one in walk.sentences]
    assert [said[0], said[-1]] == TARGETS[:2] and walk.shares == pytest.approx([0, 0.4, 0.6, 1])
    for one, target in zip(said, [TARGETS[0]] * 2 + [TARGETS[1]] * 2, strict=True):
        before = max(0, int(-(-at // 1)))  # what was said before is the nearer sentence's
        assert one.split()[:before] == target.split()[:before] and len(one.split()) <= 6


def test_half_of_two_equal_sentences_is_both(translator):
    ids = translator.read(SOURCES).ids
    for how in (Decoding(), Decoding(beam=2)):
        walk = translator.mix(ids[1], ids[1], 1.25, [0.5, 0.7], how)
        assert [WORDS.decode(one) for one in walk.sentences] == [TARGETS[1]] * 2


def test_times_and_shares_that_are_not_there_are_named(translator):
    ids = translator.read(SOURCES).ids
    for at in (-1.5, 1.01):
        with pytest.raises(ConfigError, match=rf"from -1 to 1, the end of 'quatre'; got {at}"):
            translator.mix(ids[0], ids[2], at, [0.5])
    with pytest.raises(ConfigError, match=r"between 0 and 1; got 0, 1\.2"):
        translator.mix(ids[0], ids[2], 0.0, [0.0, 1.2])


def test_another_model_does_not_translate():
    with pytest.raises(ConfigError, match="MaskedInterpolator"):
        Translator(MaskedInterpolator(), {}, WORDS, 6)
