"""Batches: pure in (seed, step), every example once, few shapes, disjoint hosts; and the errors of bad corpora."""

import io
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.data.buckets import Share
from odeembed.data.sources import TextFiles
from odeembed.data.text import TextData, TextDataset
from odeembed.data.vocabulary import SentencePiece, Words
from odeembed.errors import ConfigError, DataError


def corpus(folder: Path, lengths: list[int], name: str = "text.txt") -> TextFiles:
    """A file whose line i has lengths[i] words, the words of a line all different from those of other lines."""
    path = folder / name
    path.write_text(
        "".join(" ".join(f"w{row}_{place}" for place in range(n)) + "\n" for row, n in enumerate(lengths))
    )
    return TextFiles((str(path),))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> TextData:
    folder = tmp_path_factory.mktemp("corpus")
    lengths = np.random.default_rng(0).integers(2, 17, 400).tolist()
    train, valid = corpus(folder, lengths), corpus(folder, [*range(2, 17)] * 3, "valid.txt")
    return TextData(train=train, valid=valid, test=valid, buckets=(4, 8, 16), batch_tokens=128, held_out=0.0)


@pytest.fixture(scope="module")
def dataset(data) -> TextDataset:
    return data.open(seed=3)


def same(a: Batch, b: Batch) -> bool:
    return all(x is y is None or np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def rows_of(batch: Batch) -> dict[int, tuple[int, ...]]:
    rows = zip(batch.index.tolist(), batch.values, batch.mask, strict=True)
    return {index: tuple(values[mask].tolist()) for index, values, mask in rows if index >= 0}


def test_a_batch_holds_the_text(dataset):
    stream = list(dataset.token_stream("train"))
    batch = dataset.batch(0)
    for index, row in rows_of(batch).items():
        assert [dataset.vocabulary.tokens[id] for id in row] == stream[index]


def test_arrays_have_the_contracts_shapes_and_types(dataset):
    batch = dataset.batch(5)
    b, l = batch.values.shape  # noqa: E741
    assert (b, l) in dataset.shapes == ((32, 4), (16, 8), (8, 16))
    assert (batch.values.dtype, batch.times.dtype, batch.mask.dtype, batch.index.dtype) == (
        np.int32,
        np.float32,
        np.bool_,
        np.int32,
    )
    np.testing.assert_array_equal(batch.times, np.tile(np.arange(l, dtype=np.float32), (b, 1)))
    assert (batch.values[~batch.mask] == dataset.vocabulary.pad_id).all()
    assert (np.diff(batch.mask.astype(int), axis=1) <= 0).all()  # real tokens first
    assert batch.groups is None is batch.target


def test_a_batch_is_pure_in_seed_and_step(data, dataset):
    steps = [0, 7, dataset.steps_per_epoch, 3 * dataset.steps_per_epoch + 1]
    fresh = data.open(seed=3)
    assert all(same(fresh.batch(step), dataset.batch(step)) for step in reversed(steps))
    assert not all(same(data.open(seed=4).batch(step), dataset.batch(step)) for step in steps)
    epochs = [tuple(dataset.batch(e * dataset.steps_per_epoch).index.tolist()) for e in range(3)]
    assert len(set(epochs)) == 3


def test_an_epoch_has_no_example_twice_and_misses_less_than_a_batch_a_bucket(dataset):
    seen = Counter(i for step in range(dataset.steps_per_epoch) for i in dataset.batch(step).index.tolist())
    assert set(seen.values()) == {1}
    missed = len(list(dataset.token_stream("train"))) - len(seen)
    assert 0 <= missed <= sum(rows - 1 for rows, _ in dataset.shapes)
    assert dataset.steps_per_epoch > 20


def test_hosts_partition_every_batch(data, dataset):
    hosts = [data.open(seed=3, share=Share(k, 4)) for k in range(4)]
    for step in range(6):
        whole, parts = dataset.batch(step), [host.batch(step) for host in hosts]
        for k, part in enumerate(parts):
            np.testing.assert_array_equal(part.index, whole.index[k::4])
            np.testing.assert_array_equal(part.values, whole.values[k::4])
    assert same(next(hosts[2].evaluation("valid")), next(dataset.evaluation("valid")))


@pytest.mark.parametrize("split", ["train", "valid"])
def test_evaluation_shows_every_example_once_in_the_training_shapes(dataset, split):
    stream = list(dataset.token_stream(split))
    seen = Counter()
    for batch in dataset.evaluation(split):
        assert batch.values.shape in dataset.shapes
        assert not batch.mask[batch.index == -1].any()
        for index, row in rows_of(batch).items():
            assert [dataset.vocabulary.tokens[id] for id in row] == stream[index]
            seen[index] += 1
    assert seen == Counter(range(len(stream)))


def test_an_example_longer_than_all_trained_on_is_still_evaluated(tmp_path):
    train, valid = corpus(tmp_path, [4] * 50), corpus(tmp_path, [4, 20, 9], "valid.txt")
    data = TextData(train=train, valid=valid, test=valid, buckets=(4, 8, 16), batch_tokens=128)
    dataset = data.open(0)
    assert dataset.shapes == ((32, 4),)
    shapes = [batch.values.shape for batch in dataset.evaluation("valid")]
    assert shapes == [(32, 4), (8, 16)]
    assert (
        sum(int(batch.mask.sum()) for batch in dataset.evaluation("valid")) == dataset.tokens["valid"] == 33
    )


def test_evaluation_stops_after_so_many_tokens(data):
    dataset = replace(data, evaluation_tokens=30).open(0)
    assert dataset.tokens["valid"] == 2 + 3 + 4 + 5 + 6 + 7
    assert len(list(dataset.token_stream("valid"))) == 6
    assert dataset.tokens["train"] == data.open(0).tokens["train"]


@pytest.mark.parametrize(
    ("lengths", "shapes"),
    [
        ([4] * 32 + [8] * 16 + [16] * 8, ((32, 4), (16, 8), (8, 16))),
        ([4] * 31 + [8] * 16 + [16] * 8, ((16, 8), (8, 16))),  # 31 join the next bucket
        ([4] * 32 + [8] * 15 + [16] * 8, ((32, 4), (8, 16))),
        ([4] * 40 + [8] * 17 + [16] * 3, ((32, 4), (8, 16))),  # 5 of 17 are lent to the 3, 12 then join them
        ([4] * 40 + [8] * 30 + [16] * 3, ((32, 4), (16, 8), (8, 16))),
        ([4] * 39 + [16], ((32, 4), (8, 16))),
        ([4] * 38 + [16], ((16, 8), (8, 16))),  # 7 are lent, and 31 do not fill a batch of 4
        ([4] * 22 + [16], ((8, 16),)),
        ([4] * 32, ((32, 4),)),
        ([2] * 4 + [3] * 2 + [5] * 2, ((8, 16),)),
    ],
)
def test_poor_buckets_are_joined_and_no_example_is_left_out_for_ever(tmp_path, lengths, shapes):
    valid = corpus(tmp_path, [2, 3], "valid.txt")
    data = TextData(
        train=corpus(tmp_path, lengths), valid=valid, test=valid, buckets=(4, 8, 16), batch_tokens=128
    )
    dataset = data.open(0)
    assert dataset.shapes == shapes
    seen = {i for step in range(40 * dataset.steps_per_epoch) for i in dataset.batch(step).index.tolist()}
    assert seen == set(range(len(lengths)))


def test_the_last_bucket_takes_only_what_it_lacks(tmp_path):
    lengths = [3] * 64 + [5] * 40 + [6, 7, 7, 8, 8, 8, 16]
    valid = corpus(tmp_path, [2], "valid.txt")
    data = TextData(
        train=corpus(tmp_path, lengths), valid=valid, test=valid, buckets=(4, 8, 16), batch_tokens=128
    )
    dataset = data.open(0)
    assert dataset.shapes == ((32, 4), (16, 8), (8, 16))
    batches = [dataset.batch(step) for step in range(dataset.steps_per_epoch)]
    longest = [batch for batch in batches if batch.values.shape == (8, 16)]
    assert sorted(lengths[i] for batch in longest for i in batch.index) == [5, 6, 7, 7, 8, 8, 8, 16]


def test_a_corpus_shorter_than_a_batch_says_what_to_do(tmp_path):
    data = TextData(train=corpus(tmp_path, [10] * 20), held_out=0.0, buckets=(16,), batch_tokens=1024)
    with pytest.raises(
        DataError, match=r"corpus shorter than one batch: 200 tokens in 20 examples.*64 rows.*to 256"
    ):
        data.open(0)
    dataset = replace(data, batch_tokens=256).open(0)  # the remedy works
    assert dataset.steps_per_epoch == 1
    with pytest.raises(DataError, match="Give more text"):
        TextData(train=corpus(tmp_path, [3] * 5, "tiny.txt"), held_out=0.0).open(0)


def test_held_out_splits_are_disjoint_and_whole(tmp_path):
    data = TextData(train=corpus(tmp_path, [5] * 1000), held_out=0.1, buckets=(8,), batch_tokens=64)
    dataset = data.open(0)
    lines = [
        " ".join(tokens) for split in ("train", "valid", "test") for tokens in dataset.token_stream(split)
    ]
    known = {word for tokens in dataset.token_stream("train") for word in tokens}
    assert len(lines) == 1000
    assert 50 < len(list(dataset.token_stream("valid"))) < 150
    assert (
        set(dataset.vocabulary.tokens[2:]) == known
    )  # held-out words are unknown: the vocabulary never saw them


def test_a_split_without_examples_is_named(tmp_path):
    dataset = TextData(train=corpus(tmp_path, [5] * 20), held_out=0.0, buckets=(8,), batch_tokens=64).open(0)
    with pytest.raises(DataError, match=r"'valid' has no examples.*data\.valid"):
        next(dataset.evaluation("valid"))
    with pytest.raises(ConfigError, match="no split 'dev'"):
        next(dataset.evaluation("dev"))


def test_sentences_as_units(tmp_path):
    (tmp_path / "a.txt").write_text("The first one. The second is here! And a third?\n" * 30)
    source = TextFiles((str(tmp_path / "a.txt"),))
    data = TextData(train=source, valid=source, test=source, unit="sentence", buckets=(8,), batch_tokens=64)
    assert list(data.open(0).token_stream("train"))[:3] == [
        ["The", "first", "one."],
        ["The", "second", "is", "here!"],
        ["And", "a", "third?"],
    ]


def test_pieces_carry_the_number_of_their_word(tmp_path):
    (tmp_path / "a.txt").write_text("the unbelievable dogs bark <unk> loudly\nthe cats\n" * 40)
    source = TextFiles((str(tmp_path / "a.txt"),))
    vocabulary = SentencePiece(size=290, kind="bpe")
    data = TextData(
        train=source, valid=source, test=source, vocabulary=vocabulary, buckets=(40,), batch_tokens=320
    )
    dataset = data.open(0)
    batch = next(dataset.evaluation("train"))
    assert batch.groups.dtype == np.int32
    for values, mask, groups in zip(batch.values, batch.mask, batch.groups, strict=True):
        words: dict[int, list[int]] = {}
        for id, group in zip(values[mask].tolist(), groups[mask].tolist(), strict=True):
            words.setdefault(group, []).append(id)
        text = dataset.vocabulary.decode(values[mask]).split()
        assert [dataset.vocabulary.decode(ids).strip() for ids in words.values()] == [
            "⁇" if word == "⁇" else word for word in text
        ]
        assert set(groups[mask]).isdisjoint(groups[~mask])
        assert groups[0] == 0
        assert groups.max() < len(groups)


def pair_corpus(folder: Path, lengths: list[tuple[int, int]], name: str = "pairs.txt") -> TextFiles:
    """A file of pairs of so many words; the words of a pair are its own, s... in its source and t... in its target."""
    texts = (
        [" ".join(f"{side}{row}_{place}" for place in range(n)) for side, n in zip("st", pair, strict=True)]
        for row, pair in enumerate(lengths)
    )
    (folder / name).write_text("".join("\t".join(pair) + "\n" for pair in texts))
    return TextFiles((str(folder / name),))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> TextData:
    folder = tmp_path_factory.mktemp("pairs")
    drawn = np.random.default_rng(1).integers((2, 2), (8, 17), (400, 2))
    train = pair_corpus(folder, list(map(tuple, drawn.tolist())))
    valid = pair_corpus(folder, [(n % 6 + 2, n) for n in range(2, 17)] * 3, "valid.txt")
    test = pair_corpus(folder, [(3, 4), (9, 4)], "test.txt")
    return TextData(train, valid, test, unit="pair", buckets=(4, 8, 16), batch_tokens=128, held_out=0.0)


@pytest.fixture(scope="module")
def pairset(pairs) -> TextDataset:
    return pairs.open(seed=3)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_evaluation_shows_every_pair_once_in_the_training_shapes(pairset, split):
    stream = list(pairset.token_stream(split))
    words, seen = pairset.vocabulary.tokens, Counter()
    for batch in pairset.evaluation(split):
        rows, length = batch.target.values.shape
        assert (rows, length) in pairset.shapes
        assert batch.values.shape == (
            rows,
            min(length, 16),
        )  # the longest source has 9 words, in the test split
        assert batch.index.tolist() == batch.target.index.tolist()
        assert not batch.mask[batch.index == -1].any() and not batch.target.mask[batch.index == -1].any()
        sources, targets = rows_of(batch), rows_of(batch.target)
        for index in sources:
            assert [words[id] for id in sources[index]] == stream[2 * index]
            assert [words[id] for id in targets[index]] == stream[2 * index + 1]
            seen[index] += 1
    assert seen == Counter(range(len(stream) // 2))


def test_a_training_batch_of_pairs_keeps_halves_together_and_every_type(pairset):
    words = pairset.vocabulary.tokens
    for step in range(6):
        batch = pairset.batch(step)
        for half in (batch, batch.target):
            assert (half.values.dtype, half.times.dtype, half.mask.dtype, half.index.dtype) == (
                np.int32,
                np.float32,
                np.bool_,
                np.int32,
            )
            assert half.groups is None
            np.testing.assert_array_equal(half.times[0], np.arange(half.values.shape[1], dtype=np.float32))
        assert batch.target.target is None
        targets = rows_of(batch.target)
        for index, source in rows_of(batch).items():
            assert {words[id].split("_")[0] for id in source} == {f"s{index}"}
            assert {words[id].split("_")[0] for id in targets[index]} == {f"t{index}"}


def same_pairs(a: Batch, b: Batch) -> bool:
    return same(a._replace(target=None), b._replace(target=None)) and same(a.target, b.target)


def test_batches_of_pairs_are_pure_and_hosts_partition_them(pairs, pairset):
    fresh, hosts = pairs.open(seed=3), [pairs.open(seed=3, share=Share(k, 4)) for k in range(4)]
    for step in (0, 5, pairset.steps_per_epoch):
        whole = pairset.batch(step)
        assert same_pairs(fresh.batch(step), whole)
        for k, host in enumerate(hosts):
            part = host.batch(step)
            np.testing.assert_array_equal(part.index, whole.index[k::4])
            np.testing.assert_array_equal(part.values, whole.values[k::4])
            np.testing.assert_array_equal(part.target.values, whole.target.values[k::4])
    seen = Counter(i for step in range(pairset.steps_per_epoch) for i in pairset.batch(step).index.tolist())
    assert set(seen.values()) == {1}
    assert 0 <= 400 - len(seen) <= sum(rows - 1 for rows, _ in pairset.shapes)
    assert same_pairs(next(hosts[2].evaluation("valid")), next(pairset.evaluation("valid")))


def test_evaluation_of_pairs_stops_after_whole_pairs(pairs, pairset):
    limited = replace(pairs, evaluation_tokens=6 + 8 + 10 + 7).open(seed=3)
    assert limited.tokens["valid"] == (4 + 2) + (5 + 3) + (6 + 4)
    assert [len(half) for half in limited.token_stream("valid")] == [4, 2, 5, 3, 6, 4]
    assert limited.tokens["train"] == pairset.tokens["train"]
    assert same_pairs(limited.batch(0), pairset.batch(0))  # a source cut off here still decides the width


def test_inspect_counts_pairs_by_their_longer_half(pairset):
    facts, stream = pairset.inspect(), list(map(len, pairset.token_stream("train")))
    longer = [max(pair) for pair in zip(stream[::2], stream[1::2], strict=True)]
    assert facts["tokens"]["train"] == sum(stream)
    assert facts["lengths"] == {"<=4": sum(n <= 4 for n in longer), "<=8": sum(4 < n <= 8 for n in longer),
                                "<=16": sum(n > 8 for n in longer)}  # fmt: skip
    widths = [(shape["source_length"], shape["length"]) for shape in facts["shapes"]]
    assert widths == [(4, 4), (8, 8), (16, 16)]
    short = [a + b for a, b in zip(stream[::2], stream[1::2], strict=True) if max(a, b) <= 4]
    assert facts["shapes"][0]["padding"] == pytest.approx(1 - np.mean(short) / 8)


def test_pieces_of_both_halves_carry_the_number_of_their_word(tmp_path):
    (tmp_path / "a.txt").write_text("the unbelievable dogs\tdie Hunde\nthe cats\tdie Katzen\n" * 40)
    source = TextFiles((str(tmp_path / "a.txt"),))
    vocabulary = SentencePiece(size=290, kind="bpe")
    data = TextData(
        source, source, source, vocabulary=vocabulary, unit="pair", buckets=(40,), batch_tokens=320
    )
    dataset = data.open(0)
    batch = next(dataset.evaluation("train"))
    for half, text in (
        (batch, ["the unbelievable dogs", "the cats"]),
        (batch.target, ["die Hunde", "die Katzen"]),
    ):
        for row in range(2):
            mask, groups = half.mask[row], half.groups[row]
            assert dataset.vocabulary.decode(half.values[row][mask]) == text[row]
            assert sorted(set(groups[mask].tolist())) == list(range(len(text[row].split())))
            assert set(groups[mask]).isdisjoint(groups[~mask]) and groups.max() < len(groups)


@pytest.mark.parametrize("longer", ["cut", "leave"])
def test_longer_examples_are_cut_or_left_out(tmp_path, longer):
    source = corpus(tmp_path, [4] * 60 + [11, 20])
    data = TextData(source, source, source, buckets=(4, 8), batch_tokens=64, longer=longer)
    dataset = data.open(0)
    lengths = [len(tokens) for tokens in dataset.token_stream("train")]
    assert lengths == [4] * 60 + ([8, 3, 8, 8, 4] if longer == "cut" else [])


def test_pairs_too_few_for_a_batch_are_counted_as_pairs(tmp_path):
    source = pair_corpus(tmp_path, [(3, 10)] * 20)
    data = TextData(train=source, held_out=0.0, unit="pair", buckets=(16,), batch_tokens=1024)
    with pytest.raises(
        DataError, match=r"corpus shorter than one batch: 260 tokens in 20 pairs; .*64 rows.*to 256"
    ):
        data.open(0)
    dataset = replace(data, batch_tokens=256).open(0)  # the remedy works
    assert dataset.steps_per_epoch == 1
    with pytest.raises(DataError, match=r"in 5 pairs.*Give more pairs"):
        replace(data, train=pair_corpus(tmp_path, [(3, 10)] * 5, "tiny.txt")).open(0)
    with pytest.raises(DataError, match="'valid' has no examples"):
        next(dataset.evaluation("valid"))


def test_a_pair_longer_than_all_trained_on_is_still_evaluated(tmp_path):
    train = pair_corpus(tmp_path, [(3, 4)] * 64)
    valid = pair_corpus(tmp_path, [(3, 4), (2, 20), (9, 3)], "valid.txt")
    data = TextData(train, valid, valid, unit="pair", buckets=(4, 8, 32), batch_tokens=256)
    dataset = data.open(0)
    assert dataset.shapes == ((64, 4),)
    found = list(dataset.evaluation("valid"))
    assert [(b.values.shape, b.target.values.shape) for b in found] == [
        ((64, 4), (64, 4)),
        ((8, 16), (8, 32)),
    ]
    assert sum(int(b.mask.sum() + b.target.mask.sum()) for b in found) == dataset.tokens["valid"] == 41


def test_held_out_pairs_are_whole(tmp_path):
    data = TextData(
        pair_corpus(tmp_path, [(3, 5)] * 500), unit="pair", held_out=0.1, buckets=(8,), batch_tokens=64
    )
    dataset = data.open(0)
    streams = {split: list(dataset.token_stream(split)) for split in ("train", "valid", "test")}
    assert sum(map(len, streams.values())) == 1000
    assert all(
        len(a) == 3 and len(b) == 5 for s in streams.values() for a, b in zip(s[::2], s[1::2], strict=True)
    )
    assert 20 < len(streams["valid"]) // 2 < 80
    assert dataset.counters["valid"]["unknown"] == dataset.tokens["valid"]  # of both halves


@pytest.mark.parametrize("longer", ["cut", "leave"])
def test_targets_as_they_stand_in_the_text_are_in_step_with_the_pairs(tmp_path, longer):
    (tmp_path / "a.txt").write_text("".join(f"s{n}\tt{n} x{' y' * (n % 5)}\n" for n in range(3000)) + "s\t\n")
    source = TextFiles((str(tmp_path / "a.txt"),))
    data = TextData(
        source, unit="pair", held_out=0.1, buckets=(4,), min_length=1, longer=longer, batch_tokens=32
    )
    dataset = data.open(0)  # targets of up to six words, the test split chosen by a hash of the line's number
    texts = dataset.target_texts("test")
    assert len(texts) > 100
    assert {len(text.split()) for text in texts} == ({2, 3, 4, 5, 6} if longer == "cut" else {2, 3, 4})
    lengths = [len(target) for target in list(dataset.token_stream("test"))[1::2]]
    assert lengths == [min(len(text.split()), 4) for text in texts]
    few = replace(data, evaluation_tokens=40).open(0)
    assert few.target_texts("test") == texts[: len(list(few.token_stream("test"))) // 2]
    assert TextData(source, buckets=(4,), batch_tokens=32).open(0).target_texts("test") is None


def test_the_rate_of_unknown_words_counts_what_is_lost_of_pairs(tmp_path):
    (tmp_path / "a.txt").write_text("a b\tc d\n" * 18 + "a rare\tc d c d c\n" + "a\tc d\n")
    source = TextFiles((str(tmp_path / "a.txt"),))
    data = TextData(
        source, source, source, unit="pair", vocabulary=Words(min_count=2), buckets=(4,), batch_tokens=32
    )
    for longer in ("cut", "leave"):
        facts = replace(data, longer=longer).open(0).inspect()
        assert facts["unknown_rate"] == pytest.approx(1 / (4 * 18 + 7 + 3))


def test_the_fingerprint_of_older_versions_is_unchanged_where_nothing_is_left_out(data, dataset):
    assert list(dataset.fingerprint) == [
        "corpus",
        "vocabulary",
        "unit",
        "held_out",
        "buckets",
        "batch_tokens",
        "min_length",
        "evaluation_tokens",
        "examples",
        "seed",
    ]
    left = replace(data, longer="leave").open(seed=3)
    assert left.fingerprint == {**dataset.fingerprint, "longer": "leave"}
    assert same(left.batch(4), dataset.batch(4))  # nothing is longer here


def test_the_fingerprint_names_text_vocabulary_arithmetic_and_seed(data, dataset, tmp_path):
    assert dataset.fingerprint == data.open(seed=3).fingerprint
    different = {
        "seed": data.open(seed=4),
        "batch_tokens": replace(data, batch_tokens=256).open(seed=3),
        "vocabulary": replace(data, vocabulary=Words(oov="drop")).open(seed=3),
    }
    for field, other in different.items():
        changed = {key for key, value in other.fingerprint.items() if value != dataset.fingerprint[key]}
        assert field in changed
        assert "corpus" not in changed


def test_the_cache_may_be_made_elsewhere_without_changing_the_fingerprint(data, dataset, tmp_path):
    (moved := tmp_path / "moved.txt").write_bytes(Path(data.train.paths[0]).read_bytes())
    other = replace(data, train=TextFiles((str(moved),))).open(3, cache_dir=tmp_path / "cache")
    assert other.fingerprint == dataset.fingerprint
    assert same(other.batch(11), dataset.batch(11))


def test_specialise_sets_the_vocabulary_size_where_there_is_one(dataset):
    model = SimpleNamespace(vocab_size=0, clone=lambda **changes: changes)
    assert dataset.specialise(model) == {"vocab_size": dataset.vocabulary.size}
    bare = SimpleNamespace()
    assert dataset.specialise(bare) is bare


def test_inspect_counts_what_is_there(dataset):
    facts = dataset.inspect()
    stream = list(dataset.token_stream("train"))
    assert facts["tokens"]["train"] == sum(map(len, stream))
    assert facts["lengths"] == {"<=4": sum(len(s) <= 4 for s in stream), "<=8": sum(4 < len(s) <= 8 for s in stream),
                                "<=16": sum(len(s) > 8 for s in stream)}  # fmt: skip
    short = [len(s) for s in stream if len(s) <= 4]
    assert facts["shapes"][0]["padding"] == pytest.approx(1 - np.mean(short) / 4)
    assert facts["unknown_rate"] == 0


@pytest.mark.parametrize("oov", ["unk", "drop"])
def test_the_rate_of_unknown_words_is_that_of_the_text(tmp_path, oov):
    (tmp_path / "a.txt").write_text("a b c rare\n" + "a b c\n" * 19)
    source = TextFiles((str(tmp_path / "a.txt"),))
    words = Words(min_count=2, oov=oov)
    data = TextData(train=source, valid=source, test=source, vocabulary=words, buckets=(4,), batch_tokens=32)
    assert data.open(0).inspect()["unknown_rate"] == pytest.approx(1 / 61)


def test_standard_input_is_replaced_by_its_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a b c\n" * 40)))
    data = TextData(train=TextFiles(("-",)), held_out=0.0, buckets=(4,), batch_tokens=32)
    settled = data.settled(tmp_path)
    assert settled.train.paths[0].startswith(str(tmp_path))
    assert data.open(0, cache_dir=tmp_path).tokens == settled.open(0, cache_dir=tmp_path).tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"buckets": (16, 8)}, "rising"),
        ({"buckets": (1, 2, 3, 4, 5)}, "one to four"),
        ({"min_length": 17}, "min_length"),
        ({"batch_tokens": 100}, "at least 512"),
        ({"held_out": 0.5}, "held_out"),
    ],
)
def test_impossible_settings_are_refused_at_once(settings, message):
    with pytest.raises(ConfigError, match=message):
        TextData(**settings)


def test_rows_must_divide_over_the_hosts(data):
    with pytest.raises(ConfigError, match="do not divide over 3 hosts"):
        data.open(0, share=Share(0, 3))
    with pytest.raises(ConfigError, match="shard must lie"):
        data.open(0, share=Share(2, 2))


def test_the_data_room_does_without_jax():
    code = "import sys, odeembed.data.text, odeembed.data.prepare; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
