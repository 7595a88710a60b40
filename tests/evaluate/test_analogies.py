"""3CosAdd on vectors made so that the answers are known."""

import numpy as np
import pytest

from odeembed.errors import DataError
from odeembed.evaluate.analogies import Analogies, answer, read_questions
from odeembed.evaluate.vectors import WordVectors

WORDS = ("man", "woman", "king", "queen", "Paris", "noise")


@pytest.fixture
def vectors():
    matrix = np.array(
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, -1, 1]], np.float32
    )
    return WordVectors(WORDS, matrix, np.array([60, 50, 40, 30, 20, 10]))


def test_the_answer_is_the_nearest_word_that_was_not_asked_about(vectors):
    found = answer(vectors, [("man", "woman", "king", "queen"), ("MAN", "king", "woman", "QUEEN")])
    assert found.right.tolist() == [True, True]
    assert answer(vectors, [("man", "woman", "king", "noise")]).right.tolist() == [False]


def test_questions_with_unknown_words_are_counted(vectors):
    found = answer(vectors, [("man", "woman", "king", "duchess"), ("man", "woman", "king", "queen")])
    assert (found.skipped, found.right.tolist()) == (1, [True])


def test_rarer_words_are_neither_asked_about_nor_answered(vectors):
    found = answer(
        vectors, [("man", "woman", "king", "queen"), ("man", "woman", "king", "Paris")], restrict=4
    )
    assert (found.skipped, found.right.tolist()) == (1, [True])


def test_blocks_do_not_matter(vectors):
    questions = [("man", "woman", "king", "queen"), ("man", "woman", "king", "noise")] * 1500
    assert answer(vectors, questions).right.tolist() == [True, False] * 1500


def test_semantic_and_syntactic_sections(vectors, tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(": family\nman woman king queen\nman woman king x\n: gram1\nman woman king noise\n")
    scores = Analogies(path=str(path)).score(vectors, "embedding")
    assert scores["analogy/semantic/embedding"] == 1.0
    assert scores["analogy/syntactic/embedding"] == 0.0
    assert scores["analogy/total/embedding"] == 0.5
    assert scores["analogy/total/embedding/asked"] == 2
    assert scores["analogy/semantic/embedding/skipped"] == 1


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text(": family\nman woman king\n")
    with pytest.raises(DataError, match="line 2"):
        read_questions(path)


def test_the_public_questions_have_their_published_number(corpora):
    sections = read_questions(corpora / "analogy" / "questions-words.txt")
    assert len(sections) == 14
    assert sum(map(len, sections.values())) == 19544
