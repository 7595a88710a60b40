"""Series from files: what is read, gap by gap, and what cannot be used told by file, line and series."""

import gzip

import numpy as np
import pytest

from odeembed.data.recordings import (
    PhysioNet2012,
    Recordings,
    SeriesTable,
    TimeSeriesFile,
    checked,
    thinned,
)
from odeembed.errors import ConfigError, DataError, MissingFileError

TABLE = "series,time,heart,breath\nb,0,70,\nb,1.5,,12\na,3,80,14\n"
ARCHIVE = """# a comment
@problemName Small
@timeStamps false
@classLabel true up down
@data
1,2,?:4,5,6:up
7,8:9,10:down
"""
STAYS = """RecordID,Time,Parameter,Value
7,00:00,RecordID,7
7,00:00,Age,54
7,00:00,Height,-1
7,00:30,HR,70
7,00:30,HR,80
5,47:59,HR,60
5,48:00,pH,7.4
"""
OUTCOMES = "RecordID,SAPS-I,In-hospital_death\n5,6,0\n7,8,1\n"


def write(folder, text, name):
    content = text.encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(folder / name)


def test_a_table_of_ones_own_keeps_its_order_its_gaps_and_its_labels(tmp_path):
    labels = write(tmp_path, "series,label\na,ill\nb,well\n", "labels.csv")
    for name in ("t.csv", "t.csv.gz"):
        found = SeriesTable(write(tmp_path, TABLE, name), labels).recordings()
        assert found.channels == ("heart", "breath") and found.classes == ("ill", "well")
        assert [ts.tolist() for ts in found.times] == [[0.0, 1.5], [3.0]]
        np.testing.assert_array_equal(found.values[0], [[70, np.nan], [np.nan, 12]])
        np.testing.assert_array_equal(found.values[1], [[80, 14]])
        assert found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,series,x\n", "begins with 'time,series,x'; expected series,time"),
        ("series,time\na,1\n", "expected series,time and one or more channels"),
        ("", "is empty"),
        ("series,time,x\n", "holds no series"),
        ("series,time,x\na,1\n", "line 2: 2 fields; expected 3"),
        ("series,time,x\na,1,high\n", "line 2: 'high' is no number"),
        ("series,time,x\na,2,1\na,1,1\n", r"series 1: time 1 after time 2; expected times that rise"),
        ("series,time,x\nb,1,1\na,1,1\na,1,2\n", "series 2: time 1 after time 1"),
        ("series,time,x\na,,1\n", "series 1: time nan; expected finite times"),
        ("series,time,x\na,1,inf\n", "series 1 holds an infinite value"),
        ("series,time,x\na,1,\n", "series 1 has no value at all"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        SeriesTable(write(tmp_path, text, "t.csv")).recordings()


def test_missing_files_labels_and_broken_text_are_told(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.csv"):
        SeriesTable("nowhere.csv").recordings()
    labels = write(tmp_path, "series,label\na,ill\n", "labels.csv")
    with pytest.raises(DataError, match="has no label for series 'b'"):
        SeriesTable(write(tmp_path, TABLE, "t.csv"), labels).recordings()
    (tmp_path / "broken.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read as text"):
        SeriesTable(str(tmp_path / "broken.csv.gz")).recordings()


def test_an_archive_file_has_its_gaps_and_classes(tmp_path):
    found = TimeSeriesFile(write(tmp_path, ARCHIVE, "small.ts")).recordings()
    assert found.classes == ("up", "down") and found.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(found.values[0], [[1, 4], [2, 5], [np.nan, 6]])
    np.testing.assert_array_equal(found.values[1], [[7, 9], [8, 10]])
    assert [ts.tolist() for ts in found.times] == [[0, 1, 2], [0, 1]]
    for text, message in (
        (ARCHIVE.replace("@data", ""), "no line @data"),
        (ARCHIVE.replace("timeStamps false", "timeStamps true"), "time stamps of its own"),
        (ARCHIVE.replace("10:down", "10:left"), "line 7: class 'left'"),
        (ARCHIVE.replace("4,5,6", "4,5"), "line 6: channels of different lengths"),
    ):
        with pytest.raises(DataError, match=message):
            TimeSeriesFile(write(tmp_path, text, "bad.ts")).recordings()


def test_stays_in_intensive_care(tmp_path):
    path, outcomes = write(tmp_path, STAYS, "set.csv"), write(tmp_path, OUTCOMES, "outcomes.txt")
    found = PhysioNet2012(path, outcomes, quantum=0.0).recordings()
    assert found.channels == ("Age", "HR", "pH") and found.labels.tolist() == [0, 1]
    np.testing.assert_allclose(found.times[0], [47 + 59 / 60, 48])
    np.testing.assert_array_equal(found.values[0], [[np.nan, 60, np.nan], [np.nan, np.nan, 7.4]])
    np.testing.assert_array_equal(found.values[1], [[54, np.nan, np.nan], [np.nan, 75, np.nan]])
    rounded = PhysioNet2012(path, outcomes, quantum=1.0).recordings()
    assert rounded.times[0].tolist() == [48.0] and rounded.values[0].tolist()[0][1:] == [60, 7.4]
    with pytest.raises(DataError, match="no outcome for stay 5"):
        PhysioNet2012(path, write(tmp_path, OUTCOMES.replace("5,6,0\n", ""), "o.txt")).recordings()
    with pytest.raises(DataError, match="expected RecordID,Time,Parameter,Value"):
        PhysioNet2012(outcomes, outcomes).recordings()


def test_a_share_of_the_times_is_left_out_once_for_all():
    values = (np.arange(20.0).reshape(10, 2), np.array([[1.0, np.nan]]))
    whole = checked(Recordings((np.arange(10.0), np.zeros(1)), values, ("x", "y")), "here")
    some = thinned(whole, 0.7)
    assert [len(ts) for ts in some.times] == [3, 1]
    for ts, ys in zip(some.times[:1], some.values[:1], strict=True):
        np.testing.assert_array_equal(ys, values[0][ts.astype(int)])
    again = thinned(whole, 0.7)
    np.testing.assert_array_equal(some.times[0], again.times[0])
    assert thinned(whole, 0.0).times[0].tolist() == whole.times[0].tolist()
    with pytest.raises(ConfigError, match=r"share in \[0, 1\)"):
        thinned(whole, 1.0)


def test_a_series_is_left_with_a_value_whatever_is_left_out():
    values = np.full((50, 1), np.nan)
    values[17] = 3.0
    whole = Recordings((np.arange(50.0),), (values,), ("x",))
    assert 3.0 in thinned(whole, 0.9).values[0]


def test_values_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"values of shape \[2, 1\]; expected \[3, 2\]"):
        checked(Recordings((np.arange(3.0),), (np.zeros((2, 1)),), ("x", "y")), "here")
