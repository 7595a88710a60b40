"""Looking up and comparing word vectors, and reading them from a toy model whose means are known exactly."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError, UnknownWordError
from odeembed.evaluate.vectors import (
    WordVectors,
    principal_directions,
    readings,
    readings_of,
    without_common_directions,
)


def make_vectors():
    words = ("king", "queen", "Paris", "paris", "row")
    matrix = np.array([[1, 0], [0.8, 0.6], [0, 2], [0.1, 3], [-1, 0]], np.float32)
    return WordVectors(words, matrix, np.array([5, 4, 9, 2, 1]))


def test_neighbors_are_sorted_by_cosine_and_leave_the_word_out():
    found = make_vectors().neighbors("king", k=2)
    assert [word for word, _ in found] == ["queen", "paris"]
    np.testing.assert_allclose([cosine for _, cosine in found], [0.8, 0.1 / np.sqrt(9.01)], rtol=1e-5)


def test_rare_words_can_be_passed_over():
    assert [word for word, _ in make_vectors().neighbors("queen", k=5, min_count=4)] == ["king", "Paris"]


def test_most_similar_adds_and_takes_away():
    vectors = WordVectors(("a", "b", "c", "d"), np.eye(4, dtype=np.float32)[[0, 1, 2, 3]], np.ones(4, int))
    vectors.matrix[3] = [-1, 1, 1, 0]
    assert vectors.most_similar(["b", "c"], ["a"], k=1)[0][0] == "d"


def test_case_is_matched_as_written_then_by_the_commonest_spelling():
    vectors = make_vectors()
    assert vectors.find("paris") == 3
    assert vectors.find("PARIS") == 2
    assert vectors.find("London") is None


def test_an_unknown_word_names_the_nearest_spellings():
    with pytest.raises(UnknownWordError, match=r"'quen'.*queen"):
        make_vectors().vector("quen")


def test_a_zero_vector_has_cosine_zero():
    vectors = WordVectors(("a", "b"), np.array([[0, 0], [1, 0]], np.float32), np.ones(2, int))
    assert vectors.similarity("a", "b") == 0.0


def test_common_directions_are_those_of_the_singular_value_decomposition():
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(200, 6)) * [9, 5, 1, 1, 1, 1] + 4).astype(np.float32)
    vectors = WordVectors(tuple(map(str, range(200))), matrix, np.ones(200, int))
    cleaned = without_common_directions(vectors, 2).matrix
    _, _, right = np.linalg.svd(matrix - matrix.mean(0), full_matrices=False)
    np.testing.assert_allclose(cleaned @ right[:2].T, 0, atol=1e-4)
    np.testing.assert_allclose(cleaned @ right[2:].T, (matrix - matrix.mean(0)) @ right[2:].T, atol=1e-4)
    np.testing.assert_allclose(cleaned.mean(0), 0, atol=1e-4)


def test_principal_directions_have_a_fixed_sign():
    matrix = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    directions = principal_directions(matrix, 3)
    np.testing.assert_allclose(directions, principal_directions(-matrix, 3), atol=1e-5)
    np.testing.assert_allclose(directions @ directions.T, np.eye(3), atol=1e-5)


def test_more_directions_than_dimensions_are_refused():
    with pytest.raises(ConfigError, match="got 5"):
        principal_directions(np.zeros((9, 4), np.float32), 5)


class Toy(nn.Module):
    """States that are known: a token's contextual state is (its embedding, its time); hidden ones read (time, 1)."""

    size: int = 5

    @nn.compact
    def __call__(self, batch, visible=None, query=None):
        hidden = jnp.zeros(batch.mask.shape) if visible is None else (batch.mask & ~visible).astype(float)
        return SimpleNamespace(states=jnp.stack([jnp.asarray(batch.times), hidden], -1))

    @nn.compact
    def contextual(self, batch):
        embedded = nn.Embed(self.size, 2, name="embedding")(batch.values)
        return jnp.concatenate([embedded, jnp.asarray(batch.times)[..., None]], -1)


class ToyData:
    """Three batches of one shape: 6 rows of 4 tokens each, the last row padding throughout."""

    steps_per_epoch = 3

    def batch(self, step):
        rng = np.random.default_rng(step)
        mask = np.arange(4) < rng.integers(2, 5, size=(6, 1))
        mask[5] = False
        index = np.array([*range(step * 5, step * 5 + 5), -1], np.int32)
        values = np.where(mask, rng.integers(1, 5, size=(6, 4)), 0).astype(np.int32)
        values[5] = 2
        return Batch(values, np.tile(np.arange(4, dtype=np.float32), (6, 1)), mask, index)


VOCABULARY = SimpleNamespace(
    size=5, pad_id=0, unk_id=1, tokens=("<pad>", "<unk>", "a", "b", "c"), counts=np.array([0, 3, 9, 9, 0])
)


@pytest.fixture
def toy():
    model = Toy()
    params = model.init(jax.random.key(0), ToyData().batch(0), method="contextual")["params"]
    return SimpleNamespace(model=model, params=params, vocabulary=VOCABULARY, dataset=ToyData())


def test_embedding_rows_of_words_that_occur(toy):
    found = readings(toy.model, toy.params, VOCABULARY, removed=())["embedding"]
    assert found.words == ("a", "b")
    np.testing.assert_array_equal(found.matrix, toy.params["embedding"]["embedding"][2:4])


def test_context_is_the_mean_over_all_occurrences(toy):
    found = readings(toy.model, toy.params, VOCABULARY, toy.dataset, tokens=None, removed=())["context"]
    times = {word: [] for word in (2, 3, 4)}
    for step in range(3):
        batch = ToyData().batch(step)
        for row, column in zip(*np.nonzero(batch.mask), strict=True):
            if batch.values[row, column] > 1:
                times[batch.values[row, column]].append(batch.times[row, column])
    assert found.words == ("a", "b", "c")
    np.testing.assert_array_equal(found.counts, [len(times[word]) for word in (2, 3, 4)])
    np.testing.assert_allclose(found.matrix[:, 2], [np.mean(times[word]) for word in (2, 3, 4)], rtol=1e-6)
    np.testing.assert_allclose(found.matrix[:, :2], toy.params["embedding"]["embedding"][2:], rtol=1e-5)


def test_prediction_counts_hidden_positions_alone(toy):
    found = readings(toy.model, toy.params, VOCABULARY, toy.dataset, tokens=None, removed=())["prediction"]
    np.testing.assert_allclose(found.matrix[:, 1], 1.0)
    tokens = sum(int(ToyData().batch(step).mask.sum()) for step in range(3))
    assert 0 < found.counts.sum() < 0.4 * tokens


def test_few_tokens_mean_few_batches(toy):
    one = readings(toy.model, toy.params, VOCABULARY, toy.dataset, tokens=1, removed=())["context"]
    assert one.counts.sum() == (ToyData().batch(0).values[ToyData().batch(0).mask] > 1).sum()


def test_readings_of_a_run_without_text_name_every_variant(toy):
    assert list(readings_of(toy, 0, (1, 2))) == ["embedding", "embedding-1", "embedding-2"]
    names = list(readings_of(toy, None, (1,)))
    assert names == ["embedding", "context", "prediction", "embedding-1", "context-1", "prediction-1"]
