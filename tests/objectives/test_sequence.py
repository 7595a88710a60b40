"""The loss by hand, its noise, and a model that learns to repeat what it heard."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import summarise
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.seq2seq import Seq2Seq
from odeembed.objectives.sentence_vae import Annealing
from odeembed.objectives.sequence import SequenceNLL
from odeembed.train.brief import fit

MODEL = Seq2Seq(
    vocab_size=9,
    embed_dim=8,
    encoder=JumpFlow(8, None),
    decoder=JumpDecoder(JumpFlow(12, None, directions=("forward",))),
    latent=6,
    embed_std=0.5,
)
KEY = jax.random.key(0)


def half(lengths, width, seed):
    mask = np.arange(width) < np.array(lengths)[:, None]
    values = np.where(mask, np.random.default_rng(seed).integers(2, 9, mask.shape), 0)
    times = np.tile(np.arange(width, dtype=np.float32), (len(lengths), 1))
    batch = Batch(values.astype(np.int32), times, mask, np.array([0, 1, -1], np.int32))
    return jax.tree.map(jnp.asarray, batch)


TARGET = half((3, 1, 0), 4, 1)
BATCH = half((2, 4, 0), 5, 0)._replace(target=TARGET)


@pytest.fixture(scope="module")
def params():
    return SequenceNLL().init(MODEL, KEY, BATCH)


def logits_of(params):
    heard = MODEL.apply({"params": params}, BATCH, method="encode")
    states = MODEL.apply({"params": params}, heard, TARGET, method="decode").states
    read = MODEL.apply({"params": params}, states, heard, method="read")
    return np.asarray(MODEL.apply({"params": params}, read, method="logits"), np.float64)


def test_the_loss_by_hand(params):
    log_p = jax.nn.log_softmax(logits_of(params))
    wanted = [
        (row, i, int(TARGET.values[row, i]) if i < n else 0)
        for row, n in ((0, 3), (1, 1))
        for i in range(n + 1)
    ]
    nll = -np.mean([log_p[place] for place in wanted])
    spread = -np.mean([log_p[row, i].mean() for row, i, _ in wanted])
    means = summarise(SequenceNLL(label_smoothing=0.1)(MODEL, params, BATCH, KEY, 0))
    assert means["nll"] == pytest.approx(nll, rel=1e-5)
    assert means["loss"] == pytest.approx(0.9 * nll + 0.1 * spread, rel=1e-5)
    held_out = SequenceNLL().evaluate(MODEL, params, BATCH, KEY)
    assert held_out["nll"].value == pytest.approx(nll, rel=1e-5) and float(held_out["nll"].count) == 6
    right = [int(np.argmax(logits_of(params)[row, i])) == word for row, i, word in wanted]
    assert held_out["accuracy"].value == pytest.approx(np.mean(right))
    assert held_out["exact"].value == pytest.approx((all(right[:4]) + all(right[4:])) / 2)


def test_own_words_are_given_in_the_share_of_the_step_and_only_where_words_stand(params):
    seen = []

    class Spy(Seq2Seq):
        def decode(self, context, batch, seen_=None, scale=None):
            seen.append(batch.values)
            return super().decode(context, batch, seen_, scale)

    spy = Spy(
        **{
            name: getattr(MODEL, name)
            for name in MODEL.__dataclass_fields__
            if name not in ("parent", "name")
        }
    )
    objective = SequenceNLL(own_words=Annealing(0.0, 1.0, hold=5, rise=10))
    never, always = (objective(spy, params, BATCH, KEY, step)["nll"].value for step in (0, 100))
    assert never == pytest.approx(SequenceNLL()(MODEL, params, BATCH, KEY, 0)["nll"].value, rel=1e-6)
    first, given = np.asarray(seen[-2]), np.asarray(seen[-1])
    np.testing.assert_array_equal(first, TARGET.values)
    assert (given != first).any() and not given[~np.asarray(TARGET.mask)].any()
    assert always != pytest.approx(never, rel=1e-3)


def test_words_are_replaced_on_both_sides_in_their_share_and_new_ones_in_each_step(params, monkeypatch):
    rows = half([40] * 3, 40, 0)._replace(index=jnp.arange(3, dtype=jnp.int32))
    objective, said = SequenceNLL(replaced=0.25), []
    encode, decode = Seq2Seq.encode, Seq2Seq.decode

    def watch(method):
        return lambda self, *args: (
            said.append(args[0 if method is encode else 1].values) or method(self, *args)
        )

    monkeypatch.setattr(Seq2Seq, "encode", watch(encode))
    monkeypatch.setattr(Seq2Seq, "decode", watch(decode))
    for step in (0, 1):
        objective(MODEL, params, rows, KEY, jnp.int32(step))
    heard, target, again, _ = map(np.asarray, said)
    np.testing.assert_array_equal(heard, target)
    changed = heard != np.asarray(rows.values)
    assert 0.12 < changed.mean() < 0.32 and (heard > 0).all() and len(set(heard[changed].tolist())) > 4
    assert (again != heard).any()
    objective.evaluate(MODEL, params, rows, KEY)
    np.testing.assert_array_equal(said[-1], rows.values)
    with pytest.raises(ConfigError, match="targets of their own"):
        objective.init(MODEL, KEY, BATCH)


def test_a_few_sentences_are_learned_and_said_again():
    target = half((4, 3, 0), 4, 3)
    batch = half((5, 2, 0), 5, 2)._replace(target=target)
    objective = SequenceNLL(dropout=0.1, own_words=Annealing(0.0, 0.3, rise=100))
    learned = fit(MODEL, objective, lambda step: batch, 500, 0)
    found = summarise(objective.evaluate(MODEL, learned, batch, KEY))
    assert found["exact"] == 1 and found["perplexity"] < 1.2
    order = jnp.array([1, 0, 2])
    exchanged = batch._replace(values=batch.values[order], mask=batch.mask[order])
    assert objective.evaluate(MODEL, learned, exchanged, KEY)["exact"].value == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dropout": 1.0}, "dropout"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"own_words": Annealing(0.0, 2.0)}, "own_words"),
        ({"label_smoothing": 0.1, "negatives": 5}, "full softmax"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        SequenceNLL(**settings)
