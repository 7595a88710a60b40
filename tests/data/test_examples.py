"""Examples and pairs read back from files written by hand, padded, limited and numbered."""

from pathlib import Path

import numpy as np
import pytest

from odeembed.data.examples import Examples, Pairs

STARTS = np.array([True, True, True, False, True])  # id 3 goes on with a word


def write(folder: Path, split: str, rows: list[list[int]]) -> None:
    np.array([id for row in rows for id in row], np.int32).tofile(folder / f"{split}.tokens.bin")
    np.cumsum([len(row) for row in rows]).astype(np.int64).tofile(folder / f"{split}.offsets.bin")


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path, "train", [[2], [4, 3, 2], [2, 3, 3, 4], [4], [2, 2], [3]])
    write(tmp_path, "valid", [[4] * 9, [2]])
    write(tmp_path, "test", [])
    return tmp_path


def test_examples_are_padded_and_negative_numbers_are_empty_rows(folder):
    batch = Examples(folder, "train").batch(np.array([1, -1, 3, -2], np.int32), 4, STARTS)
    assert batch.values.tolist() == [[4, 3, 2, 0], [0] * 4, [4, 0, 0, 0], [0] * 4]
    assert batch.mask.sum(axis=1).tolist() == [3, 0, 1, 0]
    assert batch.index.tolist() == [1, -1, 3, -2]
    assert batch.groups[0].tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(("at_most", "kept"), [(None, 6), (0, 1), (1, 1), (4, 2), (7, 2), (8, 3), (99, 6)])
def test_a_limit_leaves_out_the_examples_after_so_many_tokens_but_not_the_first(folder, at_most, kept):
    examples = Examples(folder, "train", at_most)
    assert examples.lengths.tolist() == [1, 3, 4, 1, 2, 1][:kept]
    assert len(list(examples.stream())) == kept
    assert not len(Examples(folder, "test", at_most).lengths)


@pytest.mark.parametrize(("at_most", "kept"), [(None, 3), (0, 1), (4, 1), (8, 1), (9, 2), (11, 2), (12, 3)])
def test_a_limit_leaves_out_whole_pairs(folder, at_most, kept):
    pairs = Pairs.open(folder, {"train": at_most, "valid": 1, "test": at_most})
    assert pairs["train"].lengths.tolist() == [3, 4, 2][:kept]
    assert pairs["train"].sizes.tolist() == [4, 5, 3][:kept]
    assert pairs["valid"].sizes.tolist() == [10]
    assert len(pairs["test"].lengths) == 0


def test_a_pair_is_two_batches_of_one_numbering(folder):
    pairs = Pairs.open(folder, {"train": None, "test": None})["train"]
    batch = pairs.batch(np.array([2, 0, -1, 1], np.int32), 4, STARTS)
    assert batch.values.tolist() == [[2, 2, 0, 0], [2, 0, 0, 0], [0] * 4, [2, 3, 3, 4]]
    assert batch.target.values.tolist() == [[3, 0, 0, 0], [4, 3, 2, 0], [0] * 4, [4, 0, 0, 0]]
    assert batch.index.tolist() == batch.target.index.tolist() == [2, 0, -1, 1]
    assert batch.index.dtype == batch.target.index.dtype == np.int32
    assert batch.mask.sum(axis=1).tolist() == [2, 1, 0, 4]
    assert batch.target.mask.sum(axis=1).tolist() == [1, 3, 0, 1]
    assert (batch.groups[3].tolist(), batch.target.groups[1].tolist()) == ([0, 0, 0, 1], [0, 0, 1, 2])
    assert batch.target.target is None
    assert pairs.batch(np.array([0]), 4, None).target.groups is None
    assert list(pairs.stream()) == list(Examples(folder, "train").stream())


def test_sources_are_as_wide_as_the_longest_of_all_splits_and_no_wider_than_the_bucket(folder):
    limited = Pairs.open(folder, {"train": None, "valid": 1, "test": None})
    assert {pairs.widest for pairs in limited.values()} == {16}  # the 9 tokens of valid
    assert limited["train"].widths(12) == {"source_length": 12, "length": 12}
    assert limited["train"].widths(32) == {"source_length": 16, "length": 32}
    batch = limited["valid"].batch(np.array([0], np.int32), 32, None)
    assert (batch.values.shape, batch.target.values.shape) == ((1, 16), (1, 32))
    assert Pairs.open(folder, {"train": None})["train"].widest == 8
