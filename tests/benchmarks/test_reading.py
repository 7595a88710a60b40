"""Reading beside training: real entries are counted, shares are parts of the whole, and a result becomes a table."""

import numpy as np
import reading
from recording import write_result

from odeembed.batch import Batch
from odeembed.results import tables


def test_what_fills_up_is_not_counted():
    mask = np.array([[True, True, False], [True, True, True]])
    batch = Batch(np.zeros((2, 3)), np.zeros((2, 3)), mask, np.array([4, -1]))
    assert reading.entries(batch) == 2


def test_shares_are_parts_of_the_whole():
    whole, seconds = reading.reading("spirals30_latent", "small", 2, 0, 1)
    parts = [reading.reading("spirals30_latent", "small", 2, shard, 4)[0] for shard in range(4)]
    assert sum(parts) == whole > 0 and seconds > 0


def test_a_result_becomes_a_table(tmp_path):
    row = {"config": "a, small", "read": 5000.0, "trained": 40.0, "processes": {"1": 4000.0, "2": 7000.0}}
    result = {"kind": "reading", "rows": [row]}
    write_result(tmp_path / "benchmarks" / "results" / "reading.json", result)
    assert tables(tmp_path)["reading"].splitlines()[-1] == "| a, small | 5,000 | 40 | 125 | 1.75 |"
