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
    main_plane,
    principal_directions,
    readings,
    readings_of,
    side_by_side,
    table,
    whole_words,
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
    body = SimpleNamespace(excludes_own_token=False)

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
    size=5,
    pad_id=0,
    starts_word=None,
    unk_id=1,
    tokens=("<pad>", "<unk>", "a", "b", "c"),
    counts=np.array([0, 3, 9, 9, 0]),
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
    assert found.words == ("a", "b")
    np.testing.assert_allclose(found.matrix[:, 2], [np.mean(times[word]) for word in (2, 3)], rtol=1e-6)
    np.testing.assert_allclose(found.matrix[:, :2], toy.params["embedding"]["embedding"][2:4], rtol=1e-5)


def test_prediction_counts_hidden_positions_alone(toy):
    found = readings(toy.model, toy.params, VOCABULARY, toy.dataset, tokens=None, removed=())["prediction"]
    np.testing.assert_allclose(found.matrix[:, 1], 1.0)


def test_prediction_counts_every_position_where_the_body_leaves_the_token_out(toy):
    toy.model.body.excludes_own_token = True
    try:
        found = readings(toy.model, toy.params, VOCABULARY, toy.dataset, tokens=None, removed=())
    finally:
        toy.model.body.excludes_own_token = False
    np.testing.assert_allclose(found["prediction"].matrix[:, 1], 0.0)
    np.testing.assert_allclose(found["prediction"].matrix[:, 0], found["context"].matrix[:, 2], rtol=1e-6)


def test_few_tokens_mean_few_batches(toy):
    one = readings(toy.model, toy.params, VOCABULARY, toy.dataset, tokens=1, removed=())["context"]
    batch = ToyData().batch(0)
    assert one.words == ("b",)
    np.testing.assert_allclose(
        one.matrix[:, 2], batch.times[batch.mask & (batch.values == 3)].mean(), rtol=1e-6
    )


def test_an_output_table_of_its_own_is_a_reading(toy):
    params = toy.params | {"output": {"embedding": np.arange(10.0).reshape(5, 2)}}
    found = readings(toy.model, params, VOCABULARY, removed=())
    assert found["output"].matrix.tolist() == [[4, 5], [6, 7]]


def test_side_by_side_cosines_are_the_mean_of_both():
    first = make_vectors()
    second = WordVectors(
        ("row", "king", "new"), np.array([[1, 1], [1, 0], [5, 5]], np.float32), np.ones(3, int)
    )
    joined = side_by_side(first, second)
    assert joined.words == ("king", "row")
    assert joined.similarity("king", "row") == pytest.approx((-1 + np.sqrt(0.5)) / 2)


class Pieces:
    """A vocabulary of pieces: 2 is _un, 3 is do, 4 is _a, 5 is a full stop."""

    size, pad_id, unk_id = 6, 0, 1
    tokens = ("<pad>", "<unk>", "_un", "do", "_a", ".")
    counts = np.array([0, 0, 4, 4, 2, 2])
    starts_word = np.array([True, True, True, False, True, False])

    def decode(self, ids):
        return "".join(self.tokens[i] for i in ids).replace("_", " ")


class PieceData:
    """One batch: "undo a" and "undo a."; the second row is longer, the third is padding throughout."""

    steps_per_epoch = 1

    def batch(self, step):
        values = np.array([[2, 3, 4, 0], [2, 3, 4, 5], [2, 3, 4, 0]], np.int32)
        mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
        groups = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]], np.int32)
        times = np.tile(np.arange(4, dtype=np.float32), (3, 1))
        return Batch(values, times, mask, np.array([0, 1, -1], np.int32), groups)


def test_whole_words_are_put_together_from_pieces():
    words = whole_words(Pieces(), PieceData(), min_count=1)
    assert dict(zip(words.words, words.pieces, strict=True)) == {"undo": (2, 3), "a": (4,)}
    assert dict(zip(words.words, words.counts.tolist(), strict=True)) == {"undo": 2, "a": 1}
    undo, a = words.words.index("undo"), words.words.index("a")
    assert words.rows(PieceData().batch(0)).tolist() == [[undo, undo, a, -1], [undo, undo, -1, -1], [-1] * 4]


def test_a_word_of_pieces_is_the_mean_of_theirs():
    params = {"embedding": {"embedding": np.arange(12.0).reshape(6, 2)}}
    found = table(params, "embedding", whole_words(Pieces(), PieceData(), min_count=1))
    assert found.vector("undo").tolist() == [5, 6]
    assert found.vector("a").tolist() == [8, 9]


def test_without_text_the_pieces_that_are_words_get_vectors():
    assert set(whole_words(Pieces(), None).words) == {"un", "a"}


def test_readings_of_a_run_without_text_name_every_variant(toy):
    assert list(readings_of(toy, 0, (1, 2))) == ["embedding", "embedding-1", "embedding-2"]
    plain = ["embedding", "context", "prediction", "embedding+prediction"]
    assert list(readings_of(toy, None, (1,))) == [*plain, *(f"{name}-1" for name in plain)]


def test_the_plane_holds_what_lies_in_it():
    t = np.linspace(0, 6, 40)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 2)))[0].T
    circle = np.stack([2 * np.cos(t), np.sin(t)], axis=-1)
    plane = main_plane(circle @ axes + 7)
    assert sum(plane.variance) == pytest.approx(1) and plane.variance[0] > plane.variance[1]
    apart = lambda x: np.linalg.norm(x[:, None] - x, axis=-1)  # noqa: E731
    np.testing.assert_allclose(apart(plane.places), apart(circle), atol=1e-9)
    np.testing.assert_array_equal(main_plane(np.ones((3, 4))).places, 0)
    assert main_plane(np.ones((3, 4))).variance == (0, 0)
