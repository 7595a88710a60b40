"""The benchmark's script on a small slice: the same vocabulary, vectors saved and read, a comparison by hand."""

import importlib.util
import json

import numpy as np
import pytest

from odeembed.evaluate.vectors import WordVectors
from odeembed.evaluate.word_similarity import WordSimilarity


@pytest.fixture(scope="session")
def word_vectors(root):
    """benchmarks/word_vectors.py as a module."""
    found = importlib.util.spec_from_file_location("word_vectors", root / "benchmarks" / "word_vectors.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def make_vectors(seed, words="abcdefgh"):
    matrix = np.random.default_rng(seed).normal(size=(len(words), 4)).astype(np.float32)
    return WordVectors(tuple(words), matrix, np.arange(len(words), 0, -1))


def test_vectors_are_read_back_as_they_were(word_vectors, tmp_path):
    vectors = make_vectors(0)
    word_vectors.save_vectors(vectors, tmp_path / "runs" / "v.npz")
    again = word_vectors.load_vectors(tmp_path / "runs" / "v.npz")
    assert again.words == vectors.words
    np.testing.assert_array_equal(again.matrix, vectors.matrix)
    np.testing.assert_array_equal(again.counts, vectors.counts)


def test_a_comparison_is_over_the_pairs_that_both_know(word_vectors, tmp_path):
    lines = [f"{a}\t{b}\t{number}" for number, (a, b) in enumerate(["ab", "ac", "bd", "eg", "ah", "zz"])]
    (tmp_path / "EN-TINY.txt").write_text("\n".join(lines) + "\n")
    similarity = WordSimilarity(sets=("TINY",), folder=str(tmp_path))
    ours, theirs = make_vectors(1), make_vectors(2, "abcdefg")
    (row,) = word_vectors.compared({"embedding": ours}, theirs, similarity, resamples=50)
    assert (row["pairs"], row["compared"], row["oov"], row["baseline_oov"]) == (6, 4, 1, 2)
    assert row["difference"] == pytest.approx(row["spearman"] - row["baseline_spearman"])
    assert row["low"] <= row["difference"] <= row["high"]


CONFIG = """
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData
from odeembed.data.vocabulary import Words
from odeembed.experiment import Experiment
from odeembed.models.interpolator import MaskedInterpolator
from odeembed.objectives.masked_interpolation import MaskedInterpolation
from odeembed.train.optimizer import Optimizer

data = TextData(train=TextFiles(paths=("{path}",)), vocabulary=Words(min_count=2), batch_tokens=512)
experiments = {{
    "full": Experiment(
        data=data, model=MaskedInterpolator(), objective=MaskedInterpolation(), optimizer=Optimizer(), steps=1
    )
}}
"""


@pytest.mark.parametrize("model", ["word2vec", "fasttext"])
def test_gensim_trains_on_the_tokens_and_vocabulary_of_a_config(
    word_vectors, corpora, tmp_path, monkeypatch, model
):
    pytest.importorskip("gensim")
    text = "".join(f"the {'sun' if i % 2 else 'moon'} has sunlight and king {i}\n" for i in range(400))
    (tmp_path / "text.txt").write_text(text)
    (tmp_path / "tiny_config.py").write_text(CONFIG.format(path=tmp_path / "text.txt"))
    options = ["--epochs", "1", "--dim", "8", "--workers", "1", "--model", model]
    folders = ["--vectors", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    chosen = word_vectors.parser().parse_args(["train", str(tmp_path / "tiny_config.py"), *options, *folders])
    path = chosen.command(chosen)
    result = json.loads(path.read_text())
    vectors = word_vectors.load_vectors(tmp_path / "runs" / f"tiny-{model}-seed0.npz")
    assert path.name == f"word_vectors-tiny-{model}-seed0.json"
    assert set(vectors.words) == {"the", "sun", "moon", "has", "sunlight", "and", "king"}
    assert result["words"] == 7
    assert 0.9 * 400 * 7 < result["tokens"] < 400 * 7  # less what is held out
    assert result["metrics"]["wordsim/MEN-TR-3k/vectors/oov"] < 3000
    assert {"gensim", "python"} <= set(result["versions"])
