"""An untrained sentence VAE with four sentences, for the scores of codes, samples and walks."""

from types import SimpleNamespace

import jax
import pytest

from odeembed.codes import Coder
from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import SentenceELBO
from odeembed.train.brief import fit

WORDS = Words().build(["a b c d e f g h"])
IDS = [[2, 3, 4], [5, 6], [7, 8, 9, 2, 3], [4]]
WHOLE = padded(IDS, [0, 1, 2, 3], (4, 6), WORDS.pad_id)
MODEL = SentenceVAE(
    vocab_size=WORDS.size,
    embed_dim=6,
    encoder=JumpFlow(4, None),
    decoder=JumpDecoder(JumpFlow(6, None, directions=("forward",))),
    latent=2,
    embed_std=1.0,
)


class Text:
    """Four sentences in two batches."""

    def evaluation(self, split):
        yield padded(IDS[:2], [0, 1], (3, 6), WORDS.pad_id)
        yield padded(IDS[2:], [2, 3], (3, 6), WORDS.pad_id)


def opened(model, **others):
    """A run of a model that was not trained."""
    params = SentenceELBO().init(model, jax.random.key(0), WHOLE)
    coder = Coder(model, params, WORDS, 6) if model.latent else None
    facts = {"path": "runs/it", "model": model, "params": params, "vocabulary": WORDS, "dataset": Text()}
    experiment = SimpleNamespace(seed=0, objective=SentenceELBO())
    trained = lambda model, objective, batch, steps: fit(model, objective, batch, steps, 0)  # noqa: E731
    return SimpleNamespace(**facts, experiment=experiment, coder=coder, fit=trained, **others)


@pytest.fixture(scope="session")
def judged():
    """A run of a language model."""
    return opened(MODEL.clone(latent=None))


@pytest.fixture(scope="session")
def coded(judged):
    """A run of a sentence VAE, with that language model beside it."""
    return opened(MODEL, beside=lambda path: judged, sentences=IDS)
