"""Sentence vectors of a toy model, whose means are known, on pairs judged by hand."""

from types import SimpleNamespace

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from odeembed.errors import DataError
from odeembed.evaluate.sentence_similarity import SentenceSimilarity, read_sentence_pairs, separated

WORDS = {"red": 2, "green": 3, "blue": 4, "<unk>": 1}
TABLE = np.array([[9, 9], [5, 5], [1, 0], [0.8, 0.6], [-1, 0.1]], np.float32)
PAIRS = [("red red", "red", 5.0), ("red", "green", 4.0), ("red blue", "green", 2.0), ("blue", "red", 0.0)]


class Doubled(nn.Module):
    """Contextual states are twice the embeddings, and a huge number where a position is padding."""

    @nn.compact
    def contextual(self, batch):
        embedded = nn.Embed(5, 2, name="embedding")(batch.values)
        return jnp.where(batch.mask[..., None], 2 * embedded, 1e9)


def make_run(oov="unk"):
    def encode(line):
        ids = [WORDS.get(word, 1) for word in line.split()]
        return ids if oov == "unk" else [i for i in ids if i != 1]

    vocabulary = SimpleNamespace(encode=encode, pad_id=0, unk_id=1)
    return SimpleNamespace(model=Doubled(), params={"embedding": {"embedding": TABLE}}, vocabulary=vocabulary)


def truth(pairs):
    means = [[np.mean([TABLE[WORDS[w]] for w in side.split()], 0) for side in pair[:2]] for pair in pairs]
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in means]
    return scipy.stats.pearsonr([pair[2] for pair in pairs], cosine).statistic


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_pearson_of_the_cosines_of_the_means(rows):
    scores = SentenceSimilarity(rows=rows, lengths=(1, 4)).score(make_run(), PAIRS)
    assert scores["context/pearson"] == pytest.approx(truth(PAIRS), rel=1e-5)
    assert scores["embedding/pearson"] == pytest.approx(truth(PAIRS), rel=1e-5)
    assert scores["context/spearman"] == pytest.approx(1.0)
    assert (scores["pairs"], scores["unknown"], scores["cut"]) == (4, 0, 0)


@pytest.mark.parametrize("oov", ["unk", "drop"])
def test_sentences_of_unknown_words_alone_are_counted_and_have_cosine_zero(oov):
    pairs = [*PAIRS[:2], ("pink", "red", 3.0), ("", "pink", 2.0)]
    scores = SentenceSimilarity().score(make_run(oov), pairs)
    assert (scores["pairs"], scores["unknown"]) == (4, 2)
    expected = scipy.stats.pearsonr([5, 4, 3, 2], [1.0, 0.8, 0.0, 0.0]).statistic
    assert scores["context/pearson"] == pytest.approx(expected, rel=1e-5)


def test_long_sentences_are_cut_and_counted():
    scores = SentenceSimilarity(lengths=(2,)).score(make_run(), [("red red blue blue", "red", 1.0), *PAIRS])
    assert scores["cut"] == 1
    assert scores["context/pearson"] == pytest.approx(truth([("red red", "red", 1.0), *PAIRS]), rel=1e-5)


def test_punctuation_can_be_set_apart():
    assert separated("A well-known man's hat (red).") == "A well-known man's hat ( red ) ."


def test_files_of_both_forms(tmp_path):
    table = tmp_path / "stsb.csv"
    table.write_text('"A ""red"" hat, here.",A hat.,2.5\n')
    assert read_sentence_pairs(table) == [('A "red" hat, here.', "A hat.", 2.5)]
    sick = tmp_path / "sick.txt"
    sick.write_text('pair_ID\tsentence_A\tsentence_B\tscore\tjudgement\n6\tA "hat\tNo hat\t3.3\tNEUTRAL\n')
    assert read_sentence_pairs(sick) == [('A "hat', "No hat", 3.3)]
    table.write_text("one,two\n")
    with pytest.raises(DataError, match="row 1"):
        read_sentence_pairs(table)
    table.write_text("")
    with pytest.raises(DataError, match="none"):
        read_sentence_pairs(table)


def test_the_public_sets_have_their_published_sizes(corpora):
    assert len(read_sentence_pairs(corpora / "sts" / "stsb-en-test.csv")) == 1379
    assert len(read_sentence_pairs(corpora / "sts" / "SICK_test_annotated.txt")) == 4927
