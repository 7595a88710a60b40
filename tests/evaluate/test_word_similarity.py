"""Spearman over the known pairs, unknown words counted, files read strictly."""

from types import SimpleNamespace

import numpy as np
import pytest

from odeembed.errors import DataError, MissingFileError
from odeembed.evaluate.vectors import WordVectors
from odeembed.evaluate.word_similarity import WordSimilarity, judge, read_pairs, spearman


def plane(angles):
    """Words a, b, c, ... at these angles in the plane, in degrees."""
    radians = np.deg2rad(angles)
    matrix = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    return WordVectors(tuple("abcdefgh"[: len(angles)]), matrix, np.ones(len(angles), int))


def test_the_cosine_is_compared_with_the_judgement():
    judged = judge(plane([0, 10, 50, 180]), [("a", "b", 9.0), ("a", "c", 5.0), ("A", "D", 1.0)])
    np.testing.assert_allclose(judged.cosine, np.cos(np.deg2rad([10, 50, 180])), rtol=1e-6)
    assert judged.spearman == pytest.approx(1.0)
    assert judge(plane([0, 50, 10, 180]), [("a", "b", 9.0), ("a", "c", 5.0)]).spearman == pytest.approx(-1.0)


def test_pairs_with_an_unknown_word_are_counted():
    judged = judge(
        plane([0, 10, 50]), [("a", "b", 9.0), ("a", "zebra", 5.0), ("a", "c", 1.0), ("x", "y", 2.0)]
    )
    assert judged.oov == 2
    assert judged.coverage == 0.5
    assert len(judged.human) == 2


def test_nothing_known_is_not_a_number():
    judged = judge(plane([0, 10]), [("x", "y", 1.0), ("x", "z", 2.0)])
    assert judged.oov == 2
    assert np.isnan(judged.spearman)


def test_ties_share_their_mean_rank():
    # Ranks 1.5 1.5 3 4 against 1 2 3 4: Pearson of the ranks by hand is 4.5 / sqrt(4.5 * 5).
    assert spearman(np.array([1.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(
        0.9486833
    )


def test_a_constant_side_is_not_a_number():
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))


def test_a_run_is_scored_in_every_reading(tmp_path):
    (tmp_path / "EN-TINY.txt").write_text("a\tb\t9.0\r\n\na\tc\t1.0\na\tq\t3\n")
    tokens = ("<pad>", "<unk>", "a", "b", "c")
    matrix = np.concatenate([np.full((2, 2), 7, np.float32), plane([0, 10, 50]).matrix])
    run = SimpleNamespace(
        model=None,
        params={"embedding": {"embedding": matrix}},
        vocabulary=SimpleNamespace(
            starts_word=None, pad_id=0, unk_id=1, tokens=tokens, counts=np.array([0, 1, 1, 1, 1])
        ),
        dataset=None,
    )
    scores = WordSimilarity(sets=("TINY",), folder=str(tmp_path), tokens=0, removed=(1,))(run)
    assert scores["wordsim/TINY/pairs"] == 3
    assert scores["wordsim/TINY/embedding"] == pytest.approx(1.0)
    assert scores["wordsim/TINY/embedding/oov"] == 1
    assert "wordsim/TINY/embedding-1" in scores


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "EN-BAD.txt"
    path.write_text("a\tb\t1.0\na b 2.0\n")
    with pytest.raises(DataError, match=r"line 2.*'a b 2.0'"):
        read_pairs(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="empty"):
        read_pairs(path)


def test_a_missing_set_names_the_paths_tried(tmp_path, monkeypatch):
    monkeypatch.setenv("ODEEMBED_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match=f"{tmp_path}/wordsim/EN-NONE.txt"):
        WordSimilarity(sets=("NONE",)).pairs()


def test_the_public_sets_have_their_published_sizes(corpora):
    sizes = {name: len(pairs) for name, pairs in WordSimilarity().pairs().items()}
    assert sizes == {"WS-353-ALL": 353, "MEN-TR-3k": 3000, "RG-65": 65, "MTurk-771": 771, "RW-STANFORD": 2034}
