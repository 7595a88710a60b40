"""How lines are read, and what is said of contexts, some rows at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.data.vocabulary import Words
from odeembed.decode import Decoding
from odeembed.errors import DataError
from odeembed.models.decoders import JumpDecoder, Speaker
from odeembed.models.encoders import JumpFlow
from odeembed.speak import read, say

WORDS = Words().build(["a b c d"])


def test_what_does_not_reach_the_model_is_counted():
    found = read(["a b x", "d c b a b"], WORDS, 4)
    assert found.ids == [WORDS.encode("a b x"), WORDS.encode("d c b a")]
    assert found.unknown == [1, 0] and found.cut == [0, 1]


@pytest.mark.parametrize(("line", "words"), [("  ", "got an empty one"), ("x y", "no word of 'x y'")])
def test_what_says_nothing_is_refused(line, words):
    with pytest.raises(DataError, match=words):
        read(["a b", line], WORDS, 4)


class Counter(Speaker):
    """Says its context's number, then the next ones, to 9, and then the end."""

    def setup(self):
        """Nothing is learned."""

    def start(self, context):
        """The number itself."""
        return context.astype(jnp.float32)

    def advance(self, h, context, tokens, t):
        """The next one."""
        return h + 1

    def next_logits(self, h, context=None):
        """The number's, and after 9 the end's."""
        return 20 * jax.nn.one_hot(jnp.where(h[:, 0] > 9, 0, h[:, 0]).astype(int), 10)


MODEL = Counter(vocab_size=10, decoder=JumpDecoder(JumpFlow(4, None, directions=("forward",))))


class Timekeeper(Counter):
    """Says the time of each token, and 2 more."""

    def advance(self, h, context, tokens, t):
        """The next one's."""
        return 0 * h + t[:, None] + 3


@pytest.mark.parametrize("how", [Decoding(), Decoding(beam=2)], ids=["greedy", "beam"])
def test_more_contexts_than_rows_and_sentences_that_never_end(how):
    numbers = np.arange(70)[:, None] % 8 + 2
    wanted = [list(range(number, min(number + 5, 10))) for number in numbers[:, 0]]
    assert say(MODEL, {}, numbers, 5, how) == wanted
    assert say(MODEL, {}, numbers[:1], 5, how, starts=np.array([[8.0]])) == [[8, 9]]


def test_decoding_may_begin_at_a_later_token():
    model = Timekeeper(vocab_size=10, decoder=MODEL.decoder)
    numbers = np.full((33, 1), 9)
    assert say(model, {}, numbers, 4) == [[9, 3, 4, 5]] * 33
    assert say(model, {}, numbers, 4, first=3) == [[9, 6, 7, 8]] * 33


def test_draws_are_those_of_the_seed():
    how = Decoding(sample=True, temperature=20.0)
    drawn = [say(MODEL, {}, np.full((40, 1), 2), 8, how, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len({tuple(ids) for ids in drawn[0]}) > 30
