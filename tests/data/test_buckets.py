"""Batches of like length: every example in its turn, in few shapes, and the same ones again."""

import numpy as np
import pytest

from odeembed.data.buckets import Buckets, Permuted, Share, check_buckets, rows_of
from odeembed.errors import ConfigError


def lengths_of(*counts):
    """As many examples of length 1, 2, ... as are given."""
    return np.repeat(np.arange(1, len(counts) + 1), counts)


def test_rows_are_a_multiple_of_eight():
    assert [rows_of(100, 3), rows_of(64, 8), rows_of(63, 8)] == [32, 8, 0]


def test_an_epoch_shows_each_example_at_most_once_in_the_bucket_of_its_length():
    buckets = Buckets(lengths_of(20, 30, 0, 40), (2, 4), 64, seed=3)
    assert buckets.shapes == ((32, 2), (16, 4)) and buckets.steps_per_epoch == 1 + 2
    epochs = [[buckets.batch(3 * epoch + step) for step in range(3)] for epoch in range(2)]
    for batches in epochs:
        index = np.concatenate([index for _, index in batches])
        assert len(set(index.tolist())) == 64
        for length, index in batches:
            assert len(index) == rows_of(64, length)
            assert set(buckets.lengths[index]) <= ({1, 2} if length == 2 else {4})
    assert any((one[1] != two[1]).any() for one, two in zip(*epochs, strict=True) if one[0] == two[0])
    again = Buckets(lengths_of(20, 30, 0, 40), (2, 4), 64, seed=3).batch(4)
    assert again[0] == epochs[1][1][0] and (again[1] == epochs[1][1][1]).all()


def test_a_bucket_that_fills_no_batch_goes_to_the_next_or_the_last_takes_the_longest():
    joined = Buckets(lengths_of(10, 0, 0, 40), (2, 4), 64, seed=0)
    assert joined.shapes == ((16, 4),) and len(joined.members[0]) == 50
    lent = Buckets(lengths_of(40, 0, 0, 3), (2, 4), 64, seed=0)
    assert lent.shapes == ((16, 4),)
    assert {40, 41, 42} <= set(lent.members[-1].tolist())
    assert Buckets(lengths_of(3), (2, 4), 64, seed=0).shapes == ()


def test_evaluation_shows_other_examples_once_and_fills_up_with_minus_one():
    buckets = Buckets(lengths_of(40, 40), (2, 4), 64, seed=0)
    found = list(buckets.evaluation(lengths_of(5, 30, 0, 2)))
    assert [(length, len(index)) for length, index in found] == [(2, 32), (2, 32), (4, 16)]
    index = np.concatenate([index for _, index in found])
    assert sorted(index[index >= 0].tolist()) == list(range(37))


def test_lengths_that_do_not_rise_and_batches_too_small_are_refused():
    check_buckets((8, 16), 128, "batch_times")
    for buckets in ((), (8, 8), (16, 8), (1, 2, 3, 4, 5)):
        with pytest.raises(ConfigError, match="one to four rising lengths"):
            check_buckets(buckets, 1000, "batch_times")
    with pytest.raises(
        ConfigError, match=r"batch_times must hold 8 rows of the last bucket's 16 times; got 127"
    ):
        check_buckets((8, 16), 127, "batch_times")


def test_examples_of_one_size_come_at_most_once_an_epoch_and_once_when_evaluated():
    order = Permuted(50, 16, seed=2)
    assert order.steps_per_epoch == 3
    epochs = [np.concatenate([order.batch(3 * epoch + step) for step in range(3)]) for epoch in range(2)]
    assert all(len(set(epoch.tolist())) == 48 and epoch.max() < 50 for epoch in epochs)
    assert (epochs[0] != epochs[1]).any() and (order.batch(0) == epochs[0][:16]).all()
    assert (Permuted(50, 16, seed=3).batch(0) != epochs[0][:16]).any()
    found = list(order.evaluation(20))
    assert [len(index) for index in found] == [16, 16]
    assert np.concatenate(found).tolist() == [*range(20), *[-1] * 12]


def test_hosts_are_numbered_from_zero_and_divide_the_rows_of_every_batch():
    Share(1, 2).check([8, 16], "")
    with pytest.raises(ConfigError, match=r"shard must lie in 0\.\.1; got 2"):
        Share(2, 2).check([8], "")
    with pytest.raises(ConfigError, match=r"the 9 rows of a batch do not divide over 2 hosts\. Choose these"):
        Share(0, 2).check([8, 9], "these")
