"""Sources to targets: what a trained sequence-to-sequence model says of sentences."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from odeembed.data.padding import batches
from odeembed.data.vocabulary import Vocabulary
from odeembed.decode import GREEDY, Decoding
from odeembed.errors import ConfigError
from odeembed.models.seq2seq import Seq2Seq
from odeembed.speak import Read, read, say


class Translator:
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
        self.model: Any = model
        self.params, self.vocabulary, self.longest = params, vocabulary, longest

    def read(self, lines: Iterable[str]) -> Read:
        """Token ids of lines of text.

        Raises:
          DataError: a line without a word, or without one of the vocabulary.
        """
        return read(lines, self.vocabulary, self.longest)

    def translate(
        self, sentences: Sequence[Sequence[int]], how: Decoding = GREEDY, seed: int = 0
    ) -> list[list[int]]:
        """What is said of each sentence, all token ids; <unk>, which is no word, is never said.

        Args:
          seed: of the draws.
        """
        hear, said = _compiled_hearing(self.model), [[] for _ in sentences]
        for batch in batches([list(ids) for ids in sentences], self.vocabulary.pad_id):
            found = say(
                self.model,
                self.params,
                hear(self.params, batch),
                self.longest,
                how,
                banned=(self.vocabulary.unk_id,),
                seed=seed,
            )
            for number, ids in zip(batch.index.tolist(), found, strict=True):
                if number >= 0:
                    said[number] = ids
        return said


@functools.lru_cache(maxsize=4)
def _compiled_hearing(model):
    return jax.jit(
        lambda params, batch: model.apply(
            {"params": params}, jax.tree.map(jnp.asarray, batch), method="encode"
        )
    )
