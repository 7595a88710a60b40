"""What a sentence VAE's codes hold: the tighter bound, mutual information, active units, reconstructions."""

import math
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
import numpy as np

from odeembed.evaluate.held_out import agreement, held_out
from odeembed.objectives.sentence_vae import importance_weighted_nll
from odeembed.objectives.tokens import targets_of


@dataclass(frozen=True)
class ImportanceWeighted:
    """The negative log-likelihood of the test split by importance weighting.

    Attributes:
      samples: codes a sentence; of a model without a latent one is enough and exact.
      every: of the batches each `every`-th is read, from the first on; 1: all.

    References:
      Burda et al. 2016, Importance Weighted Autoencoders, eq. (8).
    """

    samples: int = 50
    every: int = 1

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns iw/nats a sentence, iw/perplexity, and iw/tokens that it is by, ends of sentences counted.

        Args:
          run: has model, params, experiment and dataset.
        """
        key, model = jax.random.key(run.experiment.seed), run.model
        nll = jax.jit(lambda params, batch: importance_weighted_nll(model, params, batch, key, self.samples))
        total, sentences, tokens = 0.0, 0, 0
        for batch in islice(run.dataset.evaluation("test"), 0, None, self.every):
            real = np.asarray(batch.index) >= 0
            total += float(np.asarray(nll(run.params, batch), np.float64)[real].sum())
            sentences += int(real.sum())
            tokens += int(np.asarray(targets_of(batch)[1])[real].sum())
        return {
            "iw/nats": total / sentences,
            "iw/perplexity": math.exp(total / tokens),
            "iw/tokens": tokens,
            "iw/samples": self.samples,
        }


@dataclass(frozen=True)
class Codes:
    """How much of the sentences is in their codes.

    Attributes:
      threshold: variance of a dimension's posterior means over the sentences, from which on it is active.
      sentences: how many of the test split are read, the first ones of its text.
      reconstructed: how many of these, the first ones again, are decoded.

    References:
      Burda et al. 2016, section 5.2, for active units; Hoffman and Johnson 2016, ELBO surgery, eq. (3), and He et al.
      2019, Lagging Inference Networks, section 3.2, for the mutual information.
    """

    threshold: float = 0.01
    sentences: int = 2000
    reconstructed: int = 500

    def __call__(self, run: Any) -> dict[str, float]:
        """Returns codes/kl and codes/mutual_information in nats, codes/active_units, and two shares.

        codes/reconstructed is the share of the sentences that come back from the mean of their posterior, likeliest
        words taken, codes/reconstructed_words that of their words at their places.

        Args:
          run: of a `SentenceVAE` with a latent, whose objective says whether its codes are points.
        """
        coder = run.coder
        sentences = held_out(run.dataset)[: self.sentences]
        means, stds = coder.encode(sentences)
        some = sentences[: self.reconstructed]
        exact, words = agreement(coder.decode(coder.encode(some)[0]), some)
        found = {
            "codes/active_units": float(np.sum(means.var(axis=0) >= self.threshold)),
            "codes/reconstructed": exact,
            "codes/reconstructed_words": words,
        }
        if not run.experiment.objective.deterministic:
            kl = 0.5 * (means**2 + stds**2 - 1) - np.log(stds)
            noise = np.random.default_rng(run.experiment.seed).standard_normal(means.shape)
            found["codes/mutual_information"] = mutual_information(means, stds, noise)
            found["codes/kl"] = float(kl.sum(axis=1).mean())
        return found


def mutual_information(means: np.ndarray, stds: np.ndarray, noise: np.ndarray) -> float:
    """I(x; z) under q, in nats: E log q(z | x) - E log q(z), the aggregate being that of these sentences.

    It cannot be more than the logarithm of their number.

    Args:
      means, stds: [n, d], of the posteriors.
      noise: [n, d], standard normal, one code a sentence.
    """
    z = means + stds * noise
    parts = []
    for some in np.array_split(np.arange(len(z)), math.ceil(len(z) / 128)):
        scaled = (z[some, None] - means) / stds
        densities = -0.5 * np.sum(scaled**2 + np.log(2 * np.pi), axis=-1) - np.log(stds).sum(axis=-1)
        largest = densities.max(axis=1, keepdims=True)
        aggregate = largest[:, 0] + np.log(np.exp(densities - largest).mean(axis=1))
        parts.append(densities[np.arange(len(some)), some] - aggregate)
    return float(np.concatenate(parts).mean())
