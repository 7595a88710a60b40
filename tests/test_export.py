"""Exports: what other tools read is what the model holds, whatever the words look like."""

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from odeembed import export as files
from odeembed.errors import ConfigError, DataError, MissingFileError, RunError
from odeembed.evaluate.vectors import WordVectors

WORDS = (
    "the",
    "a b",
    "x\ny",
    "",
    "</s>",
    "\\u0020",
    "\\u",
    "100%",
    "Zürich",
    "日本",
    "\u2028",
    "▁the",
    "\\n",
)


@pytest.fixture
def vectors():
    """Vectors of awkward words, in a matrix that is not contiguous, over the whole range of float32."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(3, len(WORDS))) * 10.0 ** rng.integers(-30, 30, (3, len(WORDS)))
    matrix = numbers.astype(np.float32).T
    assert not matrix.flags.c_contiguous
    return WordVectors(WORDS, matrix, np.arange(len(WORDS)))


READERS = {
    "word2vec": files.read_word2vec,
    "word2vec-binary": files.read_word2vec_binary,
    "safetensors": files.read_safetensors,
    "projector": files.read_projector,
}


@pytest.fixture(params=READERS)
def form(request):
    """Each format that can be written here."""
    if request.param == "safetensors":
        pytest.importorskip("safetensors")
    return request.param


def test_every_format_gives_back_words_and_vectors_exactly(form, vectors, tmp_path):
    exported = files.export(vectors, tmp_path / "vectors", form)
    table = READERS[form](exported.path)
    assert table.words == WORDS
    np.testing.assert_array_equal(table.matrix, vectors.matrix)
    assert exported.words == len(WORDS) and exported.escaped == 6
    assert [path.name for path in tmp_path.iterdir()] == [exported.path.name]


@pytest.mark.parametrize("form", ["word2vec", "word2vec-binary"])
def test_gensim_opens_the_word2vec_formats(form, vectors, tmp_path):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    exported = files.export(vectors, tmp_path / "vectors", form)
    loaded = keyed.load_word2vec_format(str(exported.path), binary=form == "word2vec-binary")
    assert tuple(map(files.unescape, loaded.index_to_key)) == WORDS
    np.testing.assert_array_equal(loaded.vectors, vectors.matrix)


def test_safetensors_opens_without_this_package(vectors, tmp_path):
    load_file = pytest.importorskip("safetensors.numpy").load_file
    exported = files.export(vectors, tmp_path / "vectors.safetensors", "safetensors")
    np.testing.assert_array_equal(load_file(exported.path)["embedding"], vectors.matrix)


@pytest.mark.slow
def test_tensorboard_serves_the_projector(vectors, tmp_path):
    """The program itself, asked as its page asks it."""
    pytest.importorskip("tensorboard")
    exported = files.export(vectors, tmp_path / "vectors", "projector")
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", str(exported.path)]
    words += ["--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr or ())
            address = next(
                found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+/", line))
            )

            def asked(what: str) -> bytes:
                query = f"{what}?run=.&name=tensors.tsv&num_rows=1000"
                with urllib.request.urlopen(f"{address}data/plugin/projector/{query}", timeout=60) as answer:
                    return answer.read()

            matrix = np.frombuffer(asked("tensor"), np.float32).reshape(-1, 3)
            rows = asked("metadata").decode().split("\n")[1:-1]
        finally:
            server.terminate()
    np.testing.assert_array_equal(matrix, vectors.matrix)
    assert tuple(files.unescape(row.split("\t")[0]) for row in rows) == WORDS


def test_scikit_learn_finds_the_same_neighbours_in_the_plain_arrays():
    neighbors = pytest.importorskip("sklearn.neighbors")
    matrix = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    vectors = WordVectors(tuple(map(str, range(50))), matrix, np.arange(50))
    found = (
        neighbors.NearestNeighbors(metric="cosine")
        .fit(vectors.matrix)
        .kneighbors([vectors.vector("7")], 6)[1]
    )
    assert [vectors.words[row] for row in found[0][1:]] == [word for word, _ in vectors.neighbors("7", 5)]


def test_ordinary_words_are_not_escaped():
    assert all(files.escape(word) == word for word in ("the", "100%", "C:\\new", "▁the", "<0x0A>", "\\n"))
    assert all(files.unescape(files.escape(word)) == word for word in WORDS)


def test_a_file_that_reads_back_differently_is_not_kept(vectors, tmp_path, monkeypatch):
    path = tmp_path / "vectors.txt"
    path.write_text("older")
    write, read = files._WRITERS["word2vec"]
    wrong = lambda path: files.Table(read(path).words, read(path).matrix + 1)  # noqa: E731
    monkeypatch.setitem(files._WRITERS, "word2vec", (write, wrong))
    with pytest.raises(DataError, match="reads back differently"):
        files.export(vectors, path)
    assert path.read_text() == "older" and len(list(tmp_path.iterdir())) == 1


def test_a_truncated_file_is_noticed(vectors, tmp_path):
    path = files.export(vectors, tmp_path / "vectors").path
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(DataError, match="expected 13 words"):
        files.read_word2vec(path)


def test_errors_name_the_remedy(vectors, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="Use one of word2vec"):
        files.export(vectors, tmp_path / "v", "glove")
    vectors.matrix[0, 0] = np.nan
    with pytest.raises(DataError, match="must be finite"):
        files.export(vectors, tmp_path / "v")
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    vectors.matrix[0, 0] = 0
    with pytest.raises(RunError, match=r"Install odeembed\[export\]"):
        files.export(vectors, tmp_path / "v", "safetensors")


def test_what_is_no_file_of_vectors_is_an_error_of_the_project(form, vectors, tmp_path):
    path = files.export(vectors, tmp_path / "vectors", form).path
    assert files.read(path, form).words == vectors.words
    part = path / "tensors.tsv" if path.is_dir() else path
    part.write_bytes(b"\xff\xfe no vectors")
    with pytest.raises(DataError, match=f"{form} vectors, or damaged"):
        files.read(path, form)
    with pytest.raises(MissingFileError, match="is missing"):
        files.read(tmp_path / "nowhere", form)


@pytest.mark.parametrize(("form", "name"), [("word2vec", "a.txt"), ("word2vec-binary", "a.bin")])
def test_a_first_line_that_promises_more_than_the_file_holds_takes_no_memory(form, name, tmp_path):
    (tmp_path / name).write_text("99999999999 300\nword 1 2 3\n")
    with pytest.raises(
        DataError, match="a first line of 99999999999 words of 300 numbers in a file of 27 bytes"
    ):
        files.read(tmp_path / name, form)


def test_pickled_vectors_are_not_opened(form, tmp_path):
    import pickle  # noqa: TID251

    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "vectors"
    if form == "projector":
        path.mkdir()
    (path / "tensors.tsv" if form == "projector" else path).write_bytes(pickle.dumps(Harm()))
    with pytest.raises(DataError):
        files.read(path, form)
    assert not (tmp_path / "ran").exists()
