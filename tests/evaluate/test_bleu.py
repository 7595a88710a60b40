"""BLEU of token lists."""

import pytest

from odeembed.evaluate.bleu import corpus_bleu, sentence_bleu


def test_bleu_by_hand():
    assert sentence_bleu([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]) == pytest.approx(100)
    # Of the words 4/5 are right, of the pairs 3/4, of three in a row 2/3, of four 1/2.
    assert sentence_bleu([1, 2, 3, 4, 9], [1, 2, 3, 4, 5]) == pytest.approx(
        100 * (4 / 5 * 3 / 4 * 2 / 3 / 2) ** 0.25
    )
    # Half as long: all right, and the penalty for brevity.
    assert sentence_bleu([1, 2], [1, 2, 3, 4]) == pytest.approx(100 * 2.718281828**-1)


def test_words_are_whole_and_nothing_is_split_or_lowered():
    assert sentence_bleu(["a-b", "C."], ["a-b", "C."]) == pytest.approx(100)
    assert sentence_bleu(["a", "b"], ["A", "B"]) == 0


def test_empty_sentences():
    assert (sentence_bleu([], []), sentence_bleu([], [1]), sentence_bleu([1], [])) == (100, 0, 0)


def test_a_corpus_is_counted_as_one_text_with_a_signature():
    said, wanted = ["a b c d e", "f g h i k"], ["a b c d e", "f g h i j"]
    score, signature = corpus_bleu(said, wanted)
    assert score == pytest.approx(100 * (9 / 10 * 7 / 8 * 5 / 6 * 3 / 4) ** 0.25)
    assert "tok:13a" in signature and "version:" in signature
    assert corpus_bleu(wanted, wanted)[0] == pytest.approx(100)
