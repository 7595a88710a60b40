"""Text to token ids and contexts to sentences: what every model that says sentences needs."""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.data.vocabulary import Vocabulary
from odeembed.decode import GREEDY, Decoding, decode
from odeembed.errors import DataError

_ROWS = 32  # shapes are few: so many rows at a time


class Read(NamedTuple):
    """Sentences as a model takes them.

    Attributes:
      ids: of each, token ids.
      unknown: of each, how many of its words are out of the vocabulary.
      cut: of each, how many of its tokens were left out because the model's longest sentence has no more.
    """

    ids: list[list[int]]
    unknown: list[int]
    cut: list[int]


class Walk(NamedTuple):
    """Sentences on the way from one to another.

    Attributes:
      shares: how far on the way each is, from 0 to 1.
      sentences: token ids of each.
    """

    shares: list[float]
    sentences: list[list[int]]


def read(lines: Iterable[str], vocabulary: Vocabulary, longest: int) -> Read:
    """Token ids of lines of text, at most `longest` of each.

    Raises:
      DataError: a line without a word, or without one of the vocabulary.
    """
    ids, unknown, cut = [], [], []
    for line in lines:
        found, out = vocabulary.read(line)
        if not line.strip():
            raise DataError("expected a sentence; got an empty one. Write at least one word.")
        if all(id == vocabulary.unk_id for id in found):
            raise DataError(
                f"no word of {line[:80]!r} is in the vocabulary. Write it in the words of the training text."
            )
        ids.append(found[:longest])
        unknown.append(out)
        cut.append(len(found) - len(ids[-1]))
    return Read(ids, unknown, cut)


class TrainedSpeaker:
    """A trained `Speaker` with its vocabulary.

    Attributes:
      model, params: the speaker's.
      vocabulary: its words.
      longest: the most tokens that it was trained on, and that it says.
    """

    def __init__(self, model: Any, params: Any, vocabulary: Vocabulary, longest: int):
        self.model, self.params, self.vocabulary, self.longest = model, params, vocabulary, longest

    def read(self, lines: Iterable[str]) -> Read:
        """Token ids of lines of text; raises as `odeembed.speak.read` does."""
        return read(lines, self.vocabulary, self.longest)

    def say(
        self,
        contexts: Any,
        how: Decoding = GREEDY,
        seed: int = 0,
        starts: Any = None,
        *,
        first: int = 0,
        unknown: bool = False,
    ) -> list[list[int]]:
        """What is said of each context, token ids; see `odeembed.speak.say`.

        Args:
          first: number of the token that is said first; there are at most `longest` with those before it.
          unknown: whether <unk> may be said, which stands for words of the text but is none.
        """
        banned = () if unknown else (self.vocabulary.unk_id,)
        limit = self.longest - first
        return say(
            self.model,
            self.params,
            contexts,
            limit,
            how,
            banned=banned,
            seed=seed,
            starts=starts,
            first=first,
        )


def say(
    model: Any,
    params: Any,
    contexts: Any,
    longest: int,
    how: Decoding = GREEDY,
    *,
    banned: tuple[int, ...] = (),
    seed: int = 0,
    starts: Any = None,
    first: int = 0,
) -> list[list[int]]:
    """What a `Speaker` says of each context, token ids of at most `longest` tokens.

    Args:
      contexts: pytree of arrays [n, ...].
      banned: tokens that are never said.
      seed: of the draws.
      starts: float [n, h], the states to begin with; None: those of the contexts.
      first: number of the token that is said first, which is its time too.
    """
    run, start = _compiled(model, how, longest, banned), _compiled_start(model)
    count = len(jax.tree.leaves(contexts)[0])
    sentences = []
    for at in range(0, count, _ROWS):
        part = jax.tree.map(lambda x, at=at: _filled(x[at : at + _ROWS]), contexts)
        begin = start(params, part) if starts is None else _filled(starts[at : at + _ROWS])
        key = jax.random.fold_in(jax.random.key(seed), at)
        out = jax.device_get(run(params, part, begin, key, float(first)))
        for row in range(min(_ROWS, count - at)):
            sentences.append(out.tokens[row, : out.lengths[row]].tolist())
    return sentences


def _filled(part):
    """The rows and, up to the number that is compiled for, more like the last; as many stay where they are."""
    if len(part) == _ROWS:
        return part
    return np.concatenate([part, np.repeat(part[-1:], _ROWS - len(part), axis=0)])


@functools.lru_cache(maxsize=12)
def _compiled_start(model):
    return jax.jit(lambda params, context: model.apply({"params": params}, context, method="start"))


@functools.lru_cache(maxsize=8)
def _compiled(model, how, longest, banned):
    @jax.jit
    def run(params, context, start, key, first):
        variables = {"params": params}

        def advance(state, context, tokens, i):
            times = jnp.full(tokens.shape, first + i, jnp.float32)
            return model.apply(variables, state, context, tokens, times, method="advance")

        return decode(
            lambda state, context: model.apply(variables, state, context, method="next_logits"),
            advance,
            start,
            longest,
            how,
            context=context,
            banned=banned,
            key=key,
        )

    return run
