"""Sources to targets: what a trained sequence-to-sequence model says of sentences, and of mixtures of two."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.batch import Batch
from odeembed.data.padding import batches, padded, padded_length
from odeembed.data.vocabulary import Vocabulary
from odeembed.decode import GREEDY, Decoding
from odeembed.errors import ConfigError
from odeembed.models.seq2seq import Heard, Seq2Seq
from odeembed.speak import TrainedSpeaker, Walk


class Translator(TrainedSpeaker):
    """A trained `Seq2Seq` with its vocabulary.

    Attributes:
      model, params: of a `Seq2Seq`.
      vocabulary: its words.
      longest: the most tokens that it was trained on, and that it says.

    Raises:
      ConfigError: another model.
    """

    def __init__(self, model: Any, params: Any, vocabulary: Vocabulary, longest: int):
        if not isinstance(model, Seq2Seq):
            raise ConfigError(
                f"this model does not translate: {type(model).__name__}. Name a run of a Seq2Seq."
            )
        super().__init__(model, params, vocabulary, longest)

    def hear(self, batch: Batch) -> Heard:
        """What is known of a batch's sources."""
        return _compiled_hearing(self.model)(self.params, batch)

    def translate(
        self, sentences: Sequence[Sequence[int]], how: Decoding = GREEDY, seed: int = 0
    ) -> list[list[int]]:
        """What is said of each sentence, all token ids; <unk>, which is no word, is never said.

        Args:
          seed: of the draws.
        """
        said = [[] for _ in sentences]
        for batch in batches([list(ids) for ids in sentences], self.vocabulary.pad_id):
            found = self.say(self.hear(batch), how, seed)
            for number, ids in zip(batch.index.tolist(), found, strict=True):
                if number >= 0:
                    said[number] = ids
        return said

    def mix(
        self,
        first: Sequence[int],
        second: Sequence[int],
        at: float,
        shares: Sequence[float],
        how: Decoding = GREEDY,
        seed: int = 0,
    ) -> Walk:
        """What is said from mixtures of two sentences' hidden states on, those at the time `at`, token ids.

        Each path is followed to `at` along the words that are said of its sentence greedily. States and codes are mixed
        in a line; what cannot be mixed is the nearer sentence's: the words before `at`, and what is attended to. From
        there a state flows to the next whole time, and decoding goes on.

        Args:
          at: in tokens, from -1, where the states start, to the end of the sooner sentence; at a whole number, before
            that token is known.
          shares: of the second sentence, from 0 to 1; half way the first is the nearer one.
          seed: of the draws.

        Raises:
          ConfigError: a time or a share that is not there.
        """
        own = self.translate([first, second])
        latest = min(map(len, own))
        if not -1 <= at <= latest:
            ended = self.vocabulary.decode(min(own, key=len))
            raise ConfigError(
                f"states are mixed at a time from -1 to {latest}, the end of {ended!r}; got {at:g}. Set an earlier one."
            )
        if not all(0 <= share <= 1 for share in shares):
            raise ConfigError(f"shares lie between 0 and 1; got {', '.join(f'{s:g}' for s in shares)}.")
        number = max(math.ceil(at), 0)  # of the token that is said next
        length = padded_length(max(len(first), len(second)))
        batch = padded([list(first), list(second)], [0, 1], (2, length), self.vocabulary.pad_id)
        values = np.array([[0, *ids[:number], 0] for ids in own], np.int32)
        ts = np.array([*range(-1, number), at], np.float32)
        share = np.asarray(shares, np.float32)
        contexts, starts = _compiled_mixing(self.model)(self.params, self.hear(batch), values, ts, share)
        said = self.say(contexts, how, seed, starts, first=number)
        return Walk(
            share.tolist(),
            [own[int(s > 0.5)][:number] + ids for s, ids in zip(shares, said, strict=True)],
        )


@functools.lru_cache(maxsize=4)
def _compiled_hearing(model):
    return jax.jit(
        lambda params, batch: model.apply(
            {"params": params}, jax.tree.map(jnp.asarray, batch), method="encode"
        )
    )


@functools.lru_cache(maxsize=4)
def _compiled_mixing(model):
    """The jitted (params, heard [2], values [2, n], ts [n], shares [k]) -> contexts and states [k] at a whole time."""

    @jax.jit
    def mixed(params, heard, values, ts, shares):
        apply = lambda method, *args: model.apply({"params": params}, *args, method=method)  # noqa: E731
        between = jnp.zeros(values.shape, bool)
        tokens = between.at[:, 1:-1].set(True)
        path = apply("along", heard, values, jnp.broadcast_to(ts, values.shape), tokens, ~between)
        line = lambda x: x[0] + shares[:, None] * (x[1] - x[0])  # noqa: E731
        contexts = jax.tree.map(lambda x: x[(shares > 0.5).astype(int)], heard)._replace(
            code=line(heard.code)
        )
        t0 = jnp.broadcast_to(ts[-1], shares.shape)
        whole = jnp.maximum(jnp.ceil(t0), 0)
        return contexts, apply("drift", line(path.states[:, -1]), contexts, t0, whole)

    return mixed
