"""A sentence VAE that was not trained, and sequence-to-sequence models that have learned a few pairs by heart."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.codes import Coder
from odeembed.data.padding import padded
from odeembed.data.vocabulary import Words
from odeembed.models.decoders import FlowDecoder, JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sentence_vae import SentenceELBO
from odeembed.objectives.sequence import SequenceNLL
from odeembed.solve.config import SolveConfig
from odeembed.train.brief import fit
from odeembed.translate import Translator

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


def spelled(length, number):
    """A sentence of the letters a to e and the same in capitals."""
    ids = np.random.default_rng(number).integers(0, 5, length)
    return " ".join("abcde"[id] for id in ids), " ".join("ABCDE"[id] for id in ids)


PAIRS = [spelled(2 + number % 3, number) for number in range(24)]
LETTERS = Words().build([half for pair in PAIRS for half in pair])


def learned(decoder, heads, pairs, steps):
    """A run of a model after some steps on pairs, half of which are its valid split and half its test split."""
    model = Seq2Seq(
        vocab_size=LETTERS.size,
        embed_dim=16,
        encoder=JumpFlow(16, None),
        decoder=decoder,
        latent=12,
        heads=heads,
        embed_std=0.3,
    )

    def batch(some):
        halves = [[LETTERS.encode(pair[half]) for pair in some] for half in (0, 1)]
        source, target = (padded(ids, [*range(len(ids))], (len(ids), 4), LETTERS.pad_id) for ids in halves)
        return source._replace(target=target)

    whole, middle = jax.tree.map(jnp.asarray, batch(pairs)), len(pairs) // 2
    splits = {"valid": [batch(pairs[:middle])], "test": [batch(pairs[middle:])]}
    if steps:
        params = fit(model, SequenceNLL(), lambda step: whole, steps, 0)
    else:
        params = SequenceNLL().init(model, jax.random.key(0), whole)
    return SimpleNamespace(
        translator=Translator(model, params, LETTERS, 5),
        dataset=SimpleNamespace(evaluation=splits.__getitem__),
        experiment=SimpleNamespace(seed=0),
        pairs=pairs,
    )


@pytest.fixture(scope="session")
def jumping():
    """A run of a decoder that flows, jumps at tokens and attends."""
    return learned(JumpDecoder(JumpFlow(24, directions=("forward",))), 2, PAIRS, 400)


@pytest.fixture(scope="session")
def resting():
    """A run of a twin of it that has learned nothing: no field, no attention."""
    return learned(JumpDecoder(JumpFlow(24, None, directions=("forward",))), 0, PAIRS[:6], 0)


@pytest.fixture(scope="session")
def flowing():
    """A run of an inputless decoder."""
    return learned(FlowDecoder(24, config=SolveConfig(steps=2)), 0, PAIRS[:3], 300)
