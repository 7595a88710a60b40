"""Sentences: a vector does not depend on its neighbours, and gaps are filled from what is around them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed import sentences
from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.errors import DataError
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, MaskedInterpolator

LINES = [
    "the cat sees the tree",
    "a dog",
    "",
    "the zebra likes a house " * 5,
    "a dog",
    "the cat sees the tree",
]


@pytest.fixture(scope="module")
def trained():
    """A model with random parameters, and its vocabulary; `zebra` is unknown."""
    vocabulary = Words().build(["the cat sees the tree", "a dog likes a house"])
    model = MaskedInterpolator(vocabulary.size, embed_dim=8, body=Jump(flow=JumpFlow(hidden=8, field=None)))
    batch = padded([[2, 3]], [0], (1, 16), vocabulary.pad_id)
    return model, jax.jit(model.init)(jax.random.key(0), batch)["params"], vocabulary


def test_a_sentence_s_vector_is_the_mean_of_its_contextual_states(trained):
    model, params, vocabulary = trained
    embedded = list(sentences.embed(*trained, LINES))
    ids = vocabulary.encode(LINES[0])
    alone = jax.tree.map(jnp.asarray, padded([ids], [0], (1, len(ids)), vocabulary.pad_id))
    states = model.apply({"params": params}, alone, method="contextual")
    np.testing.assert_allclose(embedded[0].vector, states[0].mean(0), rtol=1e-5, atol=1e-6)


def test_vectors_come_in_order_whatever_the_lengths(trained):
    embedded = list(sentences.embed(*trained, LINES))
    assert [found.tokens for found in embedded] == [5, 2, 0, 25, 2, 5]
    assert [found.unknown for found in embedded] == [0, 0, 0, 5, 0, 0]
    assert not embedded[2].vector.any()
    np.testing.assert_array_equal(embedded[1].vector, embedded[4].vector)
    assert np.abs(embedded[0].vector - embedded[1].vector).max() > 1e-3
    many = list(sentences.embed(*trained, LINES * 60))
    np.testing.assert_allclose(
        [f.vector for f in many[-6:]], [f.vector for f in embedded], rtol=1e-5, atol=1e-6
    )


def test_candidates_are_the_likeliest_words_with_every_gap_hidden(trained):
    model, params, vocabulary = trained
    filled = sentences.infill(*trained, "the ___ sees ____ tree", k=3)
    ids = [
        vocabulary.id("the"),
        vocabulary.unk_id,
        vocabulary.id("sees"),
        vocabulary.unk_id,
        vocabulary.id("tree"),
    ]
    batch = jax.tree.map(jnp.asarray, padded([ids], [0], (1, len(ids)), vocabulary.pad_id))
    visible = jnp.array([[True, False, True, False, True]])
    states = model.apply({"params": params}, batch, visible).states
    chances = np.array(jax.nn.softmax(model.apply({"params": params}, states, method="logits")))[0]
    chances[:, [vocabulary.pad_id, vocabulary.unk_id]] = -1
    for gap, candidates in zip((1, 3), filled.candidates, strict=True):
        best = np.argsort(-chances[gap])[:3]
        assert [word for word, _ in candidates] == [vocabulary.tokens[id] for id in best]
        np.testing.assert_allclose([chance for _, chance in candidates], chances[gap][best], rtol=1e-4)


def test_the_rest_of_the_sentence_stays_as_it_was_written(trained):
    filled = sentences.infill(*trained, "the  ___ ZEBRA sees, ___")
    assert filled.text.startswith("the  ") and " ZEBRA sees, " in filled.text and "_" not in filled.text
    assert filled.unknown == 2
    single = sentences.infill(*trained, "the ___ sees")
    assert single.text == f"the {single.candidates[0][0][0]} sees"


def test_a_sentence_without_a_gap_is_refused(trained):
    with pytest.raises(DataError, match="Write ___"):
        sentences.infill(*trained, "the cat __ sees")
