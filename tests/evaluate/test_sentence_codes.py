"""Scores of codes against what is known: mutual information, counted tokens, active units, reconstructions."""

import dataclasses
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from odeembed.codes import Coder, Walk
from odeembed.data.vocabulary import Words
from odeembed.evaluate.language_model import Judge, Sentences, held_out, trained
from odeembed.evaluate.sentence_codes import Codes, ImportanceWeighted, mutual_information
from odeembed.evaluate.walks import Walks, counts, edit_distance, measured
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.objectives.sentence_vae import SentenceELBO, importance_weighted_nll
from odeembed.sentences import padded

WORDS = Words().build(["a b c d e f g h"])
IDS = [[2, 3, 4], [5, 6], [7, 8, 9, 2, 3], [4]]
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
        yield padded(IDS[:2], [0, 1], (3, 6), WORDS)
        yield padded(IDS[2:], [2, 3], (3, 6), WORDS)


@pytest.fixture(scope="module")
def run():
    params = SentenceELBO().init(MODEL, jax.random.key(0), padded(IDS, [0, 1, 2, 3], (4, 6), WORDS))
    return SimpleNamespace(
        model=MODEL,
        params=params,
        vocabulary=WORDS,
        dataset=Text(),
        experiment=SimpleNamespace(seed=0, objective=SentenceELBO()),
        coder=Coder(MODEL, params, WORDS, 6),
    )


def test_the_weighted_likelihood_counts_each_sentence_and_its_end_once(run):
    found = ImportanceWeighted(samples=3)(run)
    assert found["iw/tokens"] == sum(len(ids) + 1 for ids in IDS)
    key = jax.random.key(0)
    weighted = jax.jit(lambda params, batch: importance_weighted_nll(MODEL, params, batch, key, 3))
    by_hand = sum(float(weighted(run.params, batch)[:2].sum()) for batch in Text().evaluation(""))
    assert found["iw/nats"] == pytest.approx(by_hand / 4, rel=1e-5)
    assert found["iw/perplexity"] == pytest.approx(math.exp(by_hand / found["iw/tokens"]), rel=1e-5)
    assert ImportanceWeighted(samples=3, every=2)(run)["iw/tokens"] == 7


def test_mutual_information_of_codes_far_apart_is_the_logarithm_of_their_number():
    noise = np.random.default_rng(0).standard_normal((300, 2))
    far = np.arange(300)[:, None] * np.array([100.0, 0.0])
    assert mutual_information(far, np.ones((300, 2)), noise) == pytest.approx(np.log(300), abs=1e-6)
    assert mutual_information(np.zeros((300, 2)), np.ones((300, 2)), noise) == pytest.approx(0, abs=1e-9)


def test_mutual_information_of_a_gaussian_channel():
    """Means N(0, s^2) and noise of variance 1: 1/2 log(1 + s^2)."""
    rng = np.random.default_rng(1)
    means, noise = 2.0 * rng.standard_normal((3000, 1)), rng.standard_normal((3000, 1))
    wanted = 0.5 * np.log(1 + 4)
    assert mutual_information(means, np.ones_like(means), noise) == pytest.approx(wanted, abs=0.05)


def test_codes_of_an_untrained_model_have_their_figures(run):
    found = Codes(reconstructed=4)(run)
    means = run.coder.encode(IDS)[0]
    assert found["codes/active_units"] == (means.var(axis=0) >= 0.01).sum()
    assert found["codes/reconstructed"] == 0 and 0 <= found["codes/reconstructed_words"] < 0.6
    assert found["codes/kl"] > 0 and 0 <= found["codes/mutual_information"] <= np.log(4) + 1e-6
    point = dataclasses.replace(run.experiment.objective, deterministic=True)
    run = SimpleNamespace(**vars(run) | {"coder": Coder(MODEL, run.params, WORDS, 6, point.deterministic)})
    assert "codes/kl" not in Codes(reconstructed=4)(run)


def test_a_judge_s_perplexity_is_that_of_each_sentence_alone(run):
    model = MODEL.clone(latent=None)
    params = SentenceELBO().init(model, jax.random.key(1), padded(IDS, [0, 1, 2, 3], (4, 6), WORDS))
    judge = Judge(model, params, WORDS)
    together = judge.nll(IDS)
    np.testing.assert_allclose(together[2], judge.nll([IDS[2]])[0], rtol=1e-5)
    assert judge.perplexity(IDS) == pytest.approx(math.exp(together.sum() / 15), rel=1e-6)
    assert list(held_out(Text())) == IDS


def test_a_model_trained_on_sentences_finds_them_likely_and_others_not():
    judge = Judge(MODEL.clone(latent=None), None, WORDS)
    learned = trained(judge, Sentences([[2, 3, 4], [2, 3, 5]], WORDS, 8, 0), 300)
    assert learned.perplexity([[2, 3, 4], [2, 3, 5]]) < 2 < 8 < learned.perplexity([[9, 8, 7]])


def test_edit_distances():
    assert [
        edit_distance(list(a), list(b)) for a, b in (("kitten", "sitting"), ("", "ab"), ("ab", "ab"))
    ] == [3, 2, 0]


def test_a_walk_s_figures_by_hand():
    straight = Walk([0, 0.5, 1], [[2, 3], [2, 4], [5, 4]], [0.0] * 3)
    around = Walk([0, 0.5, 1], [[2, 3], [2, 3], [2, 3]], [0.0] * 3)
    assert measured([straight], None) == {"distinct": 3, "repeats": 0, "approach": 1, "detour": 1}
    assert measured([around], None) == {"distinct": 1, "repeats": 1, "approach": 1, "detour": 0}
    away = Walk([0, 0.5, 1], [[2, 3], [6, 7, 8], [2, 4]], [0.0] * 3)
    assert measured([away], None) == {"distinct": 3, "repeats": 0, "approach": 0.5, "detour": 6}


def test_walks_of_a_run_and_between_points_of_the_prior(run):
    found = Walks(pairs=2, steps=3, ways=("straight",))(run)
    assert set(found) == {f"walks/straight/{name}" for name in ("distinct", "repeats", "approach", "detour")}
    assert "prior_walks/hidden/distinct" in Walks(pairs=2, steps=3, ways=("hidden",), prior=True)(run)


def test_pairs_count_only_with_both_ends_and_three_sentences_between():
    ends = [2], [9]
    walk = lambda *inner: Walk([], [[2], *inner, [9]], [])  # noqa: E731
    assert counts(walk([3], [4], [5]), *ends)
    assert not counts(walk([3], [4], [4], [2], [9]), *ends)
    assert not counts(walk([3], [4], [5]), [2], [8])


def test_grammar_walks_count_what_parses():
    from odeembed.data.grammar import GrammarWorld
    from odeembed.evaluate.walks import parsed

    lines = list(GrammarWorld(6, seed=0).lines())
    words = Words().build(lines)
    good = [words.encode(line) for line in lines]
    bad = [id for ids in good[:2] for id in ids]
    found = parsed([Walk([], [good[0], good[1], bad, good[2]], [])], words)
    assert found["parse"] == 0.5
    assert 0 <= found["production"] <= 1 and 0 <= found["topic"] <= 1
    assert all(math.isnan(value) for value in parsed([], words).values())
