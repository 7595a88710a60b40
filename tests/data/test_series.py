"""Series as batches: padding, gaps, scaling, folds, and what cannot be used."""

from dataclasses import replace

import numpy as np
import pytest

from odeembed.data.buckets import Share
from odeembed.data.recordings import SeriesTable
from odeembed.data.series import SeriesData
from odeembed.data.spirals import Spirals
from odeembed.errors import ConfigError, DataError
from odeembed.models.series import LatentODE, SeriesClassifier

SPIRALS = SeriesData(Spirals(count=100, observed=10), buckets=(16,), batch_times=16 * 16)


def table(folder, rows):
    """Series of 1, 2, 3, 1, 2, ... times, channel x rising by 1, channel y seen at the first time alone."""
    lines = ["series,time,x,y"]
    for number in range(rows):
        for k in range(number % 3 + 1):
            lines.append(f"s{number},{10 + 2 * k},{number + k},{5 if k == 0 else ''}")
    (folder / "t.csv").write_text("\n".join(lines))
    return SeriesTable(str(folder / "t.csv"))


def test_batches_hold_the_series_of_their_numbers_padded_and_with_gaps(tmp_path):
    data = SeriesData(table(tmp_path, 60), buckets=(2, 4), batch_times=32, time_unit=2.0)
    dataset = data.open(0)
    assert dataset.shapes == ((16, 2), (8, 4)) and dataset.channels == ("x", "y")
    for step in range(dataset.steps_per_epoch):
        batch = dataset.batch(step)
        assert batch.values.dtype == batch.times.dtype == np.float32 and batch.target is None
        assert (np.diff(batch.times, axis=1) > 0).all()
        for row, number in enumerate(batch.index):
            ts, ys = dataset.series["train"].times[number], dataset.series["train"].values[number]
            real = batch.mask[row]
            assert real.sum() == len(ts) and real[: len(ts)].all()
            np.testing.assert_allclose(batch.times[row, real], ts)
            np.testing.assert_allclose(batch.values[row, real], ys)
            assert ts[0] == 5.0 and np.isnan(batch.values[row, 1 : len(ts), 1]).all()
            assert (batch.values[row, ~real] == 0).all()


def test_every_series_of_a_split_is_evaluated_once_and_splits_share_none():
    dataset = SPIRALS.open(4)
    sizes = {split: len(one.times) for split, one in dataset.series.items()}
    assert sizes == {"train": 80, "valid": 10, "test": 10}
    begins = [tuple(ys[0]) for one in dataset.series.values() for ys in one.values]
    assert len(set(begins)) == 100
    batches = list(dataset.evaluation("test"))
    index = np.concatenate([batch.index for batch in batches])
    assert sorted(index[index >= 0].tolist()) == list(range(10))
    empty = batches[-1].index < 0
    assert not batches[-1].mask[empty].any() and (batches[-1].target[empty] == 0).all()
    with pytest.raises(ConfigError, match="no split 'dev'"):
        next(dataset.evaluation("dev"))


def test_each_fold_is_the_test_split_of_its_seed():
    folds = [replace(SPIRALS, folds=5).open(seed) for seed in range(6)]
    tests = [{tuple(ys[0]) for ys in fold.series["test"].values} for fold in folds]
    assert [len(one) for one in tests] == [20] * 6 and tests[0] == tests[5]
    assert len(set().union(*tests[:5])) == 100
    for fold in folds[:2]:
        sizes = {split: len(one.times) for split, one in fold.series.items()}
        assert sizes == {"train": 70, "valid": 10, "test": 20}


def test_scaling_is_by_what_was_seen_of_the_train_split(tmp_path):
    for kind in ("standard", "range"):
        data = SeriesData(table(tmp_path, 60), buckets=(4,), batch_times=32, scaling=kind)
        dataset = data.open(0)
        x = np.concatenate(dataset.series["train"].values)[:, 0]
        if kind == "standard":
            np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-9)
        else:
            assert x.min() == 0 and x.max() == 1
        assert dataset.scale[1] == 1.0  # y is 5 throughout
        raw = replace(data, scaling=None).open(0).series["test"].values[0]
        np.testing.assert_allclose(dataset.restored(dataset.series["test"].values[0]), raw)


def test_truth_is_in_the_models_units_and_in_the_order_of_the_split(tmp_path):
    dataset = replace(SPIRALS, time_unit=50.0, scaling="standard").open(0)
    ts, ys = dataset.truth("test")["after"]
    np.testing.assert_allclose(ts, np.arange(100, 200) / 50, rtol=1e-6)
    plain = SPIRALS.open(0).truth("test")["after"][1]
    np.testing.assert_allclose(dataset.restored(ys), plain, atol=1e-5)
    known = SeriesData(table(tmp_path, 60), buckets=(4,), batch_times=32).open(0)
    with pytest.raises(ConfigError, match="paths of SeriesTable are not known"):
        known.truth("test")


def test_a_run_goes_on_only_with_the_same_series():
    one = SPIRALS.open(0).fingerprint
    assert one == SPIRALS.open(0).fingerprint
    for other in (
        replace(SPIRALS, train=Spirals(count=100, observed=10, seed=1)),
        replace(SPIRALS, dropped=0.5),
    ):
        assert other.open(0).fingerprint["series"] != one["series"]
    assert SPIRALS.open(1).fingerprint != one


def test_what_cannot_be_used_is_told(tmp_path):
    for settings, error, message in (
        ({"buckets": (8,)}, DataError, "a series of 10 times; expected at most 8"),
        ({"batch_times": 16 * 160}, DataError, "80 series to train on; expected at least one batch of 160"),
        ({"train": Spirals(count=5, observed=10)}, DataError, "5 series are too few"),
        ({"train": Spirals(count=3, observed=10), "folds": 5}, DataError, "cannot be cut into 5 parts"),
        ({"test": table(tmp_path, 9)}, DataError, "data.test has channels"),
    ):
        with pytest.raises(error, match=message):
            replace(SPIRALS, **settings).open(0)
    for settings, message in (
        ({"held_out": 0.0}, "held_out must lie in"),
        ({"time_unit": 0.0}, "time_unit must be above 0"),
        ({"folds": 5, "test": Spirals()}, "no test source"),
        ({"batch_times": 8}, "batch_times must hold 8 rows"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(SPIRALS, **settings)


def test_a_model_of_other_channels_or_classes_is_refused(tmp_path):
    dataset = SPIRALS.open(0)
    assert dataset.specialise(LatentODE(channels=2)).channels == 2
    with pytest.raises(ConfigError, match=r"2 channels and the model 3\. Set --model.channels 2"):
        dataset.specialise(LatentODE(channels=3))
    with pytest.raises(ConfigError, match=r"2 classes and the model 9\. Set --model.classes 2"):
        dataset.specialise(SeriesClassifier(channels=2, classes=9))
    unlabelled = SeriesData(table(tmp_path, 60), buckets=(4,), batch_times=32).open(0)
    with pytest.raises(ConfigError, match=r"0 classes and the model 2\. Give the data labels"):
        unlabelled.specialise(SeriesClassifier(channels=2, classes=2))


def test_numbers_for_people():
    found = SPIRALS.open(0).inspect()
    assert found["series"] == {"train": 80, "test": 10, "valid": 10} and found["seen"] == 1.0
    assert found["times"] == {"fewest": 10, "mean": 10.0, "most": 10}


def test_hosts_together_have_the_series_of_the_global_batch():
    whole, hosts = SPIRALS.open(4), [SPIRALS.open(4, share=Share(k, 4)) for k in range(4)]
    for k, host in enumerate(hosts):
        np.testing.assert_array_equal(host.batch(2).values, whole.batch(2).values[k::4])
        assert [len(one.times) for one in host.series.values()] == [80, 10, 10]
    with pytest.raises(ConfigError, match="16 rows of a batch do not divide over 3 hosts"):
        SPIRALS.open(4, share=Share(0, 3))
