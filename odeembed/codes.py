"""Sentences to codes and back: encode, reconstruct, sample, and walk between two codes."""

import functools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from odeembed.data.padding import batches
from odeembed.data.vocabulary import Vocabulary
from odeembed.decode import GREEDY, Decoding
from odeembed.errors import ConfigError
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.speak import Read, TrainedSpeaker, Walk

Way = Literal["straight", "spherical", "flow", "hidden"]


class Coder(TrainedSpeaker):
    """A trained sentence VAE with its vocabulary: every method takes and gives many sentences at once.

    Attributes:
      model, params: of a `SentenceVAE` with a latent.
      vocabulary: its words.
      longest: the most tokens that it was trained on, and that it decodes.

    Raises:
      ConfigError: the model has no codes.
    """

    def __init__(self, model: Any, params: Any, vocabulary: Vocabulary, longest: int):
        if not isinstance(model, SentenceVAE) or model.latent is None:
            raise ConfigError(
                f"this {type(model).__name__} has no codes; expected a SentenceVAE with a latent. Name a run of one."
            )
        super().__init__(model, params, vocabulary, longest)

    def encode(self, sentences: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Codes of sentences, float32 [n, d]: those at the means of the encoder's Gaussians, and its spreads.

        With a flow on the posterior the spreads are those before it.
        """
        moments = _compiled_posterior(self.model)
        means, stds = np.zeros((2, len(sentences), self.model.latent), np.float32)
        for batch in batches([list(ids) for ids in sentences], self.vocabulary.pad_id):
            real = batch.index >= 0
            mean, std = jax.device_get(moments(self.params, batch))
            means[batch.index[real]], stds[batch.index[real]] = mean[real], std[real]
        return means, stds

    def decode(
        self,
        codes: np.ndarray,
        how: Decoding = GREEDY,
        seed: int = 0,
        starts: np.ndarray | None = None,
        *,
        unknown: bool = False,
    ) -> list[list[int]]:
        """The sentences of codes [n, d].

        Args:
          seed: of the draws.
          starts: float [n, h], the decoder's states to begin with; None: those of the codes.
          unknown: whether <unk> may be said, which stands for words of the text but is none.
        """
        return self.say(codes, how, seed, starts, unknown=unknown)

    def prior(self, count: int, seed: int = 0) -> np.ndarray:
        """Codes drawn from the prior, float32 [count, d]."""
        return np.asarray(_compiled_prior(self.model, count)(self.params, jax.random.key(seed)))

    def walk(
        self,
        first: np.ndarray,
        last: np.ndarray,
        steps: int,
        way: str = "straight",
        how: Decoding = GREEDY,
    ) -> list[Walk]:
        """Decodes `steps` points of the ways from `first` to `last`, codes [n, d] each, both ends among them.

        Raises:
          ConfigError: no such way, or one that this model does not have.
        """
        shares = np.linspace(0, 1, steps)
        codes, starts = between(self.model, self.params, first, last, shares, way)
        flat = codes.reshape(-1, codes.shape[-1])
        sentences = self.decode(
            flat, how, starts=None if starts is None else starts.reshape(-1, starts.shape[-1])
        )
        starts_of_walks = range(0, len(sentences), steps)
        return [Walk(shares.tolist(), sentences[at : at + steps]) for at in starts_of_walks]

    def interpolate(
        self, first: str, last: str, steps: int, way: str = "straight", how: Decoding = GREEDY
    ) -> tuple[Walk, Read]:
        """The walk between two sentences, and how they were read.

        Raises:
          DataError: as for `read`; ConfigError: as for `walk`.
        """
        read = self.read([first, last])
        codes = self.encode(read.ids)[0]
        return self.walk(codes[:1], codes[1:], steps, way, how)[0], read


def between(
    model: Any, params: Any, first: np.ndarray, last: np.ndarray, shares: np.ndarray, way: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Points of the ways from codes to codes, [n, d] each: codes [n, k, d], and where they begin, [n, k, h], or None.

    "straight" and "spherical" go from code to code in a line and on the arc of a circle about 0, their length in a line
    too; "flow" takes both to the flow's base, goes straight there, and comes back; "hidden" mixes the decoder's states
    at the first token, and codes in a line.

    Args:
      shares: float [k] in [0, 1].

    Raises:
      ConfigError: no such way, or the prior is no flow.

    References:
      Shoemake 1985, section 3.3, for the arc.
    """
    if way not in get_args(Way):
        raise ConfigError(f"no way {way!r} between codes. Use one of {', '.join(get_args(Way))}.")
    if way == "flow" and model.prior is None:
        raise ConfigError("the way along the flow needs a flow as prior; this model has none. Use straight.")
    line = lambda a, b: a[:, None] + shares[:, None] * (b - a)[:, None]  # noqa: E731
    if way == "flow":
        n, k, d = len(first), len(shares), first.shape[1]
        bases = [np.asarray(_compiled(model, "to_base")(params, codes)) for codes in (first, last)]
        codes = _compiled(model, "from_base")(params, line(*bases).reshape(n * k, d).astype(np.float32))
        return np.asarray(codes).reshape(n, k, d), None
    if way == "hidden":
        states = [np.asarray(_compiled(model, "start")(params, codes)) for codes in (first, last)]
        return line(first, last), line(*states)
    return (line(first, last) if way == "straight" else _arc(first, last, shares)), None


def _arc(first, last, shares):
    lengths = [np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12) for codes in (first, last)]
    a, b = first / lengths[0], last / lengths[1]
    angle = np.arccos(np.clip(np.sum(a * b, axis=1), -1, 1))[:, None, None]
    share = shares[None, :, None]
    # Where the codes point the same or the opposite way there is no arc, or there are many.
    sine = np.sin(angle)
    flat = sine < 1e-6
    sine = np.where(flat, 1.0, sine)
    one = np.where(flat, 1 - share, np.sin((1 - share) * angle) / sine)
    other = np.where(flat, share, np.sin(share * angle) / sine)
    length = lengths[0][:, None] + share * (lengths[1] - lengths[0])[:, None]
    return (length * (one * a[:, None] + other * b[:, None])).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _compiled_posterior(model):
    def moments(params, batch):
        posterior = model.apply({"params": params}, batch, method="posterior")
        return model.apply({"params": params}, posterior, method="mean_code"), jnp.exp(posterior.log_std)

    return jax.jit(moments)


@functools.lru_cache(maxsize=12)
def _compiled(model, method):
    return jax.jit(lambda params, z: model.apply({"params": params}, z, method=method))


@functools.lru_cache(maxsize=4)
def _compiled_prior(model, count):
    return jax.jit(lambda params, key: model.apply({"params": params}, key, count, method="prior_sample"))
