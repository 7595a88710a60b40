"""Vocabularies against hand counts and round trips; untrusted and damaged ones are refused."""

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import sentencepiece

from odeembed.data.sources import InstalledDocs
from odeembed.data.vocabulary import SentencePiece, SentencePieceVocabulary, Words, load_vocabulary
from odeembed.errors import ConfigError, DataError, MissingFileError, UnknownWordError

LINES = ["b a b", "a c b <unk> d"]
ENGLISH = list(islice(InstalledDocs(("pydoc_data",)).lines(), 400))


def test_ids_fall_with_the_count_and_ties_follow_the_alphabet():
    vocabulary = Words().build(LINES)
    assert vocabulary.tokens == ("<pad>", "<unk>", "b", "a", "c", "d")
    assert vocabulary.counts.tolist() == [0, 1, 3, 2, 1, 1]
    assert (vocabulary.size, vocabulary.pad_id, vocabulary.unk_id, vocabulary.starts_word) == (6, 0, 1, None)


def test_rare_words_are_left_out_and_counted_as_unknown():
    vocabulary = Words(min_count=2).build(LINES)
    assert vocabulary.tokens[2:] == ("b", "a")
    assert vocabulary.counts.tolist() == [0, 3, 3, 2]
    assert Words(max_size=1).build(LINES).tokens[2:] == ("b",)


def test_unknown_words_become_unk_or_nothing():
    unk, drop = Words(min_count=2).build(LINES), Words(min_count=2, oov="drop").build(LINES)
    assert unk.encode("a c b <unk>") == [3, 1, 2, 1]
    assert unk.read("a c b <unk>") == ([3, 1, 2, 1], 2)
    assert drop.read("a c b <unk>") == ([3, 2], 2)
    assert unk.decode([3, 1, 2, 0, 0]) == "a <unk> b"


def test_a_literal_unk_is_unknown_under_every_pattern():
    vocabulary = Words(pattern=r"[a-z]+(?:'[a-z]+)?", lowercase=True).build(["It's <unk> isn't it <pad>"])
    assert "unk" not in vocabulary.tokens
    assert [vocabulary.tokens[id] for id in vocabulary.encode("IT'S <unk> it")] == ["it's", "<unk>", "it"]


def test_words_named_like_the_padding_are_unknown():
    assert Words().build(["a <pad> a"]).encode("<pad>") == [1]


def test_an_unknown_word_gets_the_nearest_spellings():
    vocabulary = Words(lowercase=True).build(["tuple list column"])
    assert vocabulary.tokens[vocabulary.id("Tuple")] == "tuple"
    with pytest.raises(UnknownWordError, match="Nearest spellings: column"):
        vocabulary.id("colum")
    with pytest.raises(LookupError, match="No spelling is near"):
        vocabulary.id("zzzzzz")


def test_nothing_counted_and_bad_patterns_are_named():
    with pytest.raises(DataError, match="at least 3 times"):
        Words(min_count=3).build(["a b"])
    with pytest.raises(ConfigError, match="capturing group"):
        Words(pattern="(a|b)")


def test_words_round_trip_through_a_folder(tmp_path):
    vocabulary = Words(lowercase=True).build(["naïve 日本 \u2028 x"])
    vocabulary.save(tmp_path)
    loaded = load_vocabulary(tmp_path)
    assert loaded == vocabulary
    assert loaded.fingerprint == vocabulary.fingerprint != Words().build(["naïve 日本 x"]).fingerprint
    np.testing.assert_array_equal(loaded.counts, vocabulary.counts)


def test_damage_is_noticed(tmp_path):
    with pytest.raises(MissingFileError):
        load_vocabulary(tmp_path)
    Words().build(LINES).save(tmp_path)
    path = tmp_path / "vocabulary.json"
    whole = json.loads(path.read_text())
    for damaged in (
        whole | {"tokens": [*whole["tokens"][:-1], "x"]},
        {**whole, "counts": [1]},
        {"kind": "words"},
    ):
        path.write_text(json.dumps(damaged))
        with pytest.raises(DataError, match="damaged"):
            load_vocabulary(tmp_path)
    path.write_text(json.dumps(whole)[:-5])
    with pytest.raises(DataError, match="damaged"):
        load_vocabulary(tmp_path)


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def pieces(request) -> SentencePieceVocabulary:
    return SentencePiece(size=500, kind=request.param).build(ENGLISH)


def test_pieces_have_our_ids_and_carry_any_text(pieces):
    assert pieces.tokens[:2] == ("<pad>", "<unk>")
    assert pieces.size == 500
    text = "The dog sees żółć and 日本."
    assert pieces.decode([*pieces.encode(text), 0, 0]) == text
    assert 1 not in pieces.encode(text)
    assert pieces.encode("the <unk> dog").count(1) == 1


def test_pieces_know_where_words_begin(pieces):
    ids = pieces.encode("The statement assigns")
    assert pieces.starts_word[ids].sum() == 3
    assert pieces.starts_word[ids[0]]


def test_training_pieces_twice_gives_one_model(pieces):
    again = [SentencePiece(size=500, kind=kind).build(ENGLISH).fingerprint for kind in ("unigram", "bpe")]
    assert pieces.fingerprint in again
    assert len(set(again)) == 2


def test_pieces_round_trip_and_a_changed_model_is_refused(pieces, tmp_path):
    pieces.save(tmp_path)
    assert load_vocabulary(tmp_path) == pieces
    model = tmp_path / "sentencepiece.model"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match="damaged"):
        load_vocabulary(tmp_path)


def test_a_word_that_is_a_piece_has_an_id(pieces):
    assert pieces.tokens[pieces.id("the")] == "\u2581the"
    with pytest.raises(UnknownWordError, match="not among"):
        pieces.id("antidisestablishmentarianism")


def test_a_model_with_other_ids_is_brought_to_ours(tmp_path):
    path = tmp_path / "own.model"
    with path.open("wb") as file:  # SentencePiece's own defaults: unk 0, bos 1, eos 2, no padding
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(ENGLISH), model_writer=file, vocab_size=200, num_threads=1, minloglevel=2
        )
    vocabulary = SentencePiece(model=str(path)).build([])
    assert vocabulary.tokens[:4] == ("<pad>", "<unk>", "<s>", "</s>")
    assert vocabulary.size == 201
    assert vocabulary.decode(vocabulary.encode("The dog sees")) == "The dog sees"
    assert vocabulary.encode("Ж")[-1] == vocabulary.unk_id


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x0a\xff\xff\xff\xff\x0f" + b"\0" * 40])
def test_a_file_that_is_no_model_is_a_clean_error(tmp_path, content):
    (tmp_path / "bad.model").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.model is not a SentencePiece model"):
        SentencePiece(model=str(tmp_path / "bad.model")).build([])


def test_more_pieces_than_the_text_carries_is_a_config_error():
    with pytest.raises(ConfigError, match=r"Set vocabulary\.size"):
        SentencePiece(size=50_000).build(ENGLISH)


def test_a_large_text_is_sampled_evenly_and_always_alike(monkeypatch):
    taken = []
    monkeypatch.setattr(SentencePiece, "_trained", lambda self, lines: taken.append(lines) or b"")
    monkeypatch.setattr(SentencePieceVocabulary, "__post_init__", lambda self: None)
    for _ in range(2):
        SentencePiece(sample=500).build(str(number) for number in range(10_000))
    assert taken[0] == taken[1]
    quarters = Counter(int(line) // 2500 for line in taken[0])
    assert sum(quarters.values()) == 500
    assert min(quarters.values()) > 90  # 125 expected, standard deviation 9.7
