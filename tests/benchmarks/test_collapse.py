"""The published set-up compares outputs with other sentences' tokens, and the others with their own."""

import jax
import jax.numpy as jnp
import numpy as np
from collapse import RUNGS, GruNode, by_length, flattened

from odeembed.data.vocabulary import Words


def test_as_published_most_outputs_meet_the_token_of_another_place():
    logits = jnp.arange(6.0).reshape(3, 2, 1)  # each output is the number of its own target
    assert flattened(logits, shuffled=False)[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert flattened(logits, shuffled=True)[:, 0].tolist() == [0, 2, 4, 1, 3, 5]


def test_the_published_field_has_its_number_of_parameters():
    model = GruNode(20, RUNGS[0])
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros((2, 6), np.int32)))["params"]
    field = [
        leaf.size
        for name, part in shapes.items()
        if name.startswith("MLPField")
        for leaf in jax.tree.leaves(part)
    ]
    assert sum(field) == 8320


def test_sentences_of_a_length_stand_together_with_their_ends():
    words = Words().build(["a b c"])
    found = by_length(["a b", "c", "b a"], words)
    assert {length: rows.shape for length, rows in found.items()} == {1: (1, 2), 2: (2, 3)}
    assert (found[2][:, -1] == 0).all()
