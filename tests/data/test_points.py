"""Points as batches: every one once, the same ones again, and tables that cannot be used told by row and column."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

from odeembed.data.buckets import Share
from odeembed.data.densities import ToyDensity
from odeembed.data.points import PointData, Table
from odeembed.errors import ConfigError, DataError, MissingFileError
from odeembed.models.density import DensityEstimator

DATA = PointData(*(ToyDensity("moons", n, seed) for seed, n in enumerate((100, 30, 41))), rows=32)


def table(folder, text, name="t.txt", **settings):
    (folder / name).write_text(text)
    return Table(str(folder / name), **settings)


def test_an_epoch_shows_each_point_at_most_once_and_the_next_others():
    dataset = DATA.open(5)
    assert dataset.steps_per_epoch == 3
    epochs = [[dataset.batch(3 * epoch + step) for step in range(3)] for epoch in range(2)]
    for batches in epochs:
        index = np.concatenate([batch.index for batch in batches])
        assert len(set(index.tolist())) == 96
        for batch in batches:
            np.testing.assert_array_equal(batch.values, dataset.points["train"][batch.index])
            assert batch.values.dtype == np.float32 and batch.mask.shape == (32, 1) and batch.mask.all()
    assert (epochs[0][0].index != epochs[1][0].index).any()
    np.testing.assert_array_equal(DATA.open(5).batch(4).index, epochs[1][1].index)
    assert (DATA.open(6).batch(0).index != epochs[0][0].index).any()


def test_evaluation_shows_every_point_once_in_one_shape():
    batches = list(DATA.open(0).evaluation("test"))
    assert [batch.values.shape for batch in batches] == [(32, 2)] * 2
    index = np.concatenate([batch.index for batch in batches])
    assert sorted(index[index >= 0].tolist()) == list(range(41)) and (index < 0).sum() == 23
    np.testing.assert_array_equal(index >= 0, np.concatenate([batch.mask[:, 0] for batch in batches]))
    with pytest.raises(ConfigError, match="no split 'dev'"):
        next(DATA.open(0).evaluation("dev"))


def test_held_out_rows_are_disjoint_and_the_scale_is_that_of_the_train_split(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.round(rng.normal([5, -3, 0], [0.1, 20, 1], size=(200, 3)), 6)
    np.save(tmp_path / "t.npy", rows)
    data = PointData(Table(str(tmp_path / "t.npy"), 3), held_out=0.1, rows=16, standardised=True)
    dataset = data.open(0)
    assert {split: len(points) for split, points in dataset.points.items()} == {
        "train": 160,
        "valid": 20,
        "test": 20,
    }
    np.testing.assert_allclose(dataset.points["train"].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(dataset.points["train"].std(0), 1, rtol=1e-5)
    back = np.concatenate([dataset.restored(points.astype(np.float64)) for points in dataset.points.values()])
    np.testing.assert_allclose(np.sort(back, axis=0), np.sort(rows, axis=0), rtol=1e-5, atol=1e-4)
    assert data.open(1).fingerprint["points"] == dataset.fingerprint["points"]
    assert data.open(1).fingerprint != dataset.fingerprint


def test_text_npy_and_gz_are_read_alike(tmp_path):
    rows = np.array([[1.5, -2.0], [3.0, 4.25], [0.0, 1e-3]])
    text = "# a comment\n1.5, -2\n3 4.25\n0\t1e-3\n"
    (tmp_path / "t.txt.gz").write_bytes(gzip.compress(text.encode()))
    np.save(tmp_path / "t.npy", rows)
    for found in (table(tmp_path, text), Table(str(tmp_path / "t.txt.gz")), Table(str(tmp_path / "t.npy"))):
        np.testing.assert_array_equal(found.rows(), rows)


def test_rounded_values_are_spread_over_what_they_were_rounded_from(tmp_path):
    plain = table(tmp_path, "".join(f"{n % 5 / 10} {n % 7} 3\n" for n in range(350)))
    spread = replace(plain, dequantised=True).rows() - plain.rows()
    np.testing.assert_array_equal(spread, replace(plain, dequantised=True).rows() - plain.rows())
    for column, width in enumerate((0.1, 1.0, 0.0)):
        assert np.abs(spread[:, column]).max() <= width / 2 + 1e-12
        assert np.ptp(spread[:, column]) > 0.9 * width or not width


@pytest.mark.parametrize(
    ("text", "settings", "what"),
    [
        ("1 2\n3 nan\n", {}, "row 2, column 2: nan, as in 1 places; expected finite"),
        ("1 2\n3 inf\ninf 1\n", {}, "row 2, column 2: inf, as in 2 places"),
        ("1 2\n3 4\n", {"columns": 3}, "has 2 columns; expected 3"),
        ("1 2\n3\n", {}, "not a table of numbers"),
        ("one two\n", {}, "not a table of numbers"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(tmp_path, text, settings, what):
    with pytest.raises(DataError, match=what):
        table(tmp_path, text, **settings).rows()


def test_files_that_are_no_tables_are_named(tmp_path):
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"1 2\n" * 100)[:20])
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    for name, what in (
        ("cube.npy", r"shape \(2, 2, 2\)"),
        ("cut.txt.gz", "not a table"),
        ("cut.npy", "not a table"),
    ):
        with pytest.raises(DataError, match=what):
            Table(str(tmp_path / name)).rows()
    with pytest.raises(MissingFileError, match=r"nowhere\.npy"):
        Table(str(tmp_path / "nowhere.npy")).rows()


def test_points_that_cannot_be_trained_on_are_refused(tmp_path):
    constant = table(tmp_path, "".join(f"{n} 7\n" for n in range(50)))
    for data, what in (
        (PointData(constant, rows=8, standardised=True), "column 2 of data.train is 7 throughout"),
        (PointData(constant, rows=100), "40 points to train on; .*data.rows to 40"),
        (
            PointData(constant, test=table(tmp_path, "1 2 3\n", "three.txt"), rows=8),
            "data.test has 3 columns",
        ),
        (PointData(table(tmp_path, "1 2\n3 4\n", "two.txt"), rows=1), "2 points are too few"),
    ):
        with pytest.raises(DataError, match=what):
            data.open(0)
    for settings, what in (({"rows": 0}, "rows must"), ({"held_out": 0.5}, "held_out must")):
        with pytest.raises(ConfigError, match=what):
            PointData(**settings)
    with pytest.raises(ConfigError, match=r"2 columns and the model 3. Set --model.width 2"):
        DATA.open(0).specialise(DensityEstimator(width=3))


def test_hosts_together_have_the_rows_of_the_global_batch():
    whole, hosts = DATA.open(5), [DATA.open(5, share=Share(k, 4)) for k in range(4)]
    for step in (0, 1, 2 * whole.steps_per_epoch):
        for k, host in enumerate(hosts):
            np.testing.assert_array_equal(host.batch(step).values, whole.batch(step).values[k::4])
    with pytest.raises(
        ConfigError, match=r"32 rows of a batch do not divide over 3 hosts. Choose data\.rows"
    ):
        DATA.open(5, share=Share(0, 3))
