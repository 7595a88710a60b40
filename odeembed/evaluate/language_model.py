"""Sentences judged by a language model that was trained apart, and what a language model learns from sentences."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from odeembed.batch import Batch
from odeembed.codes import Coder
from odeembed.data.padding import batches, padded
from odeembed.data.vocabulary import Vocabulary
from odeembed.decode import Decoding
from odeembed.errors import ConfigError, DataError
from odeembed.evaluate.held_out import held_out
from odeembed.objectives.sentence_vae import SentenceELBO, importance_weighted_nll

_LENGTHS = 32  # lengths are multiples of it, so that few shapes are compiled
_NEGATIVES = 1024


class Judge:
    """A language model: a `SentenceVAE` without a latent.

    Attributes:
      model, params, vocabulary: of its run.
    """

    def __init__(self, model: Any, params: Any, vocabulary: Vocabulary):
        self.model, self.params, self.vocabulary = model, params, vocabulary

    @classmethod
    def of(cls, run: Any, vocabulary: Vocabulary) -> "Judge":
        """The language model of a run, which must have the same words.

        Raises:
          ConfigError: no language model, or one of other words.
        """
        if getattr(run.model, "latent", 0) is not None:
            raise ConfigError(
                f"{run.path} is no language model: a SentenceVAE with latent None. Name a run of one."
            )
        if run.vocabulary.fingerprint != vocabulary.fingerprint:
            raise ConfigError(
                f"the language model of {run.path} has other words. Train it on the same data and vocabulary."
            )
        return cls(run.model, run.params, run.vocabulary)

    def nll(self, sentences: Sequence[Sequence[int]]) -> np.ndarray:
        """-log p of each sentence and its end, in nats."""
        found = np.zeros(len(sentences))
        for batch in batches([list(ids) for ids in sentences], self.vocabulary.pad_id):
            real = batch.index >= 0
            found[batch.index[real]] = np.asarray(_compiled_nll(self.model)(self.params, batch))[real]
        return found

    def perplexity(self, sentences: Sequence[Sequence[int]]) -> float:
        """exp of the nats a token, each sentence's end being a token too."""
        tokens = sum(len(ids) + 1 for ids in sentences)
        return math.exp(min(float(self.nll(sentences).sum()) / max(tokens, 1), 700.0))


@functools.lru_cache(maxsize=4)
def _compiled_nll(model):
    key = jax.random.key(0)
    return jax.jit(lambda params, batch: importance_weighted_nll(model, params, batch, key, 1))


class Sentences(NamedTuple):
    """Sentences in memory as a training split.

    Attributes:
      ids: of each sentence.
      vocabulary: whose ids they are.
      rows: of a batch.
      seed: of the batches.
    """

    ids: list[list[int]]
    vocabulary: Vocabulary
    rows: int
    seed: int

    def batch(self, step: int) -> Batch:
        """Rows drawn with replacement; pure in (seed, step)."""
        index = np.random.default_rng([self.seed, step]).integers(0, len(self.ids), self.rows)
        rows = [self.ids[number] for number in index.tolist()]
        length = -(-max(map(len, rows)) // _LENGTHS) * _LENGTHS
        return padded(rows, index.tolist(), (self.rows, length), self.vocabulary.pad_id)


@dataclass(frozen=True)
class Samples:
    """What sentences drawn from the prior are worth.

    Forward perplexity is that of the samples under the judge: low where they are likely sentences. Reverse perplexity
    is that of the held-out text under a model of the judge's kind that was trained on the samples alone: low where
    they are also as different as sentences are.

    Attributes:
      judge: run directory of a language model that was trained apart.
      count: samples drawn.
      steps: training steps of the reverse model; 0 leaves it out.
      rows: sentences of its batches.

    References:
      Zhao et al. 2018, Adversarially Regularized Autoencoders, section 5.1.
    """

    judge: str = ""
    count: int = 1000
    steps: int = 200
    rows: int = 32

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns samples/forward_perplexity, samples/reverse_perplexity, samples/distinct and samples/length.

        Args:
          run: of a `SentenceVAE` with a latent.

        Raises:
          RunError: no run at `judge`; ConfigError: as for `Judge.of`.
        """
        judge, coder = Judge.of(run.beside(self.judge), run.vocabulary), run.coder
        sentences = sampled(coder, self.count, run.experiment.seed)
        found = {
            "samples/forward_perplexity": judge.perplexity(sentences),
            "samples/distinct": len({tuple(ids) for ids in sentences}) / len(sentences),
            "samples/length": float(np.mean([len(ids) for ids in sentences])),
        }
        if self.steps:
            data = Sentences(sentences, run.vocabulary, self.rows, run.experiment.seed)
            params = run.fit(judge.model, objective_of(judge.model), data.batch, self.steps)
            reverse = Judge(judge.model, params, run.vocabulary)
            found["samples/reverse_perplexity"] = reverse.perplexity(held_out(run.dataset))
        return found


def objective_of(model: Any) -> SentenceELBO:
    """How a language model is trained on samples: with a sampled softmax where there are many words."""
    return SentenceELBO(negatives=_NEGATIVES if model.vocab_size > 2 * _NEGATIVES else 0)


def sampled(coder: Coder, count: int, seed: int) -> list[list[int]]:
    """Sentences of codes from the prior, each token drawn, <unk> too; empty ones are left out.

    Raises:
      DataError: all are empty.
    """
    drawn = coder.decode(coder.prior(count, seed), Decoding(sample=True), seed, unknown=True)
    sentences = [ids for ids in drawn if ids]
    if not sentences:
        raise DataError(
            f"all {count} samples are empty sentences. Train for longer before samples are measured."
        )
    return sentences
