import numpy as np

from odeembed.data.padding import batches, padded, padded_length
from odeembed.data.vocabulary import Words

WORDS = Words().build(["a b c"])


def test_rows_to_spare_are_empty():
    batch = padded([[2, 3]], [5], (3, 4), WORDS.pad_id)
    assert batch.values.tolist() == [[2, 3, 0, 0], [0] * 4, [0] * 4]
    assert batch.mask.sum() == 2 and batch.index.tolist() == [5, -1, -1]
    np.testing.assert_array_equal(batch.times[1], [0, 1, 2, 3])


def test_every_sentence_is_in_one_batch_of_few_shapes():
    rows = [[2] * length for length in (1, 17, 16, 40, 3, 90)] * 20
    found = list(batches(rows, WORDS.pad_id))
    assert {batch.values.shape for batch in found} == {(32, length) for length in (16, 32, 64, 128)}
    numbers = [number for batch in found for number in batch.index.tolist() if number >= 0]
    assert sorted(numbers) == list(range(120))
    for batch in found:
        for row, number in enumerate(batch.index.tolist()):
            assert number < 0 or batch.mask[row].sum() == len(rows[number])


def test_lengths_are_powers_of_two():
    assert [padded_length(tokens) for tokens in (0, 16, 17, 100)] == [16, 16, 32, 128]
