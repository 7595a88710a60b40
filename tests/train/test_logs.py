import json
import math

import pytest

from odeembed.errors import ConfigError
from odeembed.train.logs import METRICS, MetricsFile, Progress, TensorBoard, read_metrics

LINES = [{"step": step, "kind": "train", "loss": 1.0 / step} for step in (5, 10, 15)]


def write(folder, records, step=0):
    file = MetricsFile(folder, step)
    for record in records:
        file.write(record)
    return file


def test_a_line_is_on_disk_when_write_returns(tmp_path):
    file = write(tmp_path, LINES)
    assert read_metrics(tmp_path) == LINES
    file.close()


def test_lines_beyond_the_restored_step_are_dropped(tmp_path):
    write(tmp_path, LINES).close()
    write(tmp_path, [{"step": 15, "kind": "train", "loss": 7.0}], step=10).close()
    assert [(line["step"], line["loss"]) for line in read_metrics(tmp_path)] == [
        (5, 0.2),
        (10, 0.1),
        (15, 7.0),
    ]


def test_a_new_run_drops_what_a_run_without_checkpoint_left(tmp_path):
    write(tmp_path, LINES).close()
    write(tmp_path, [], step=0).close()
    assert read_metrics(tmp_path) == []


def test_a_line_torn_by_a_crash_is_left_out(tmp_path):
    write(tmp_path, LINES).close()
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 20, "ki')
    assert read_metrics(tmp_path) == LINES
    write(tmp_path, [{"step": 20, "kind": "train"}], step=15).close()
    assert len(read_metrics(tmp_path)) == 4


def test_every_line_is_json_of_the_standard(tmp_path):
    write(
        tmp_path, [{"step": 1, "kind": "eval", "nll": math.nan, "perplexity": math.inf, "loss": 2.0}]
    ).close()
    line = (tmp_path / METRICS).read_text()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "step": 1, "kind": "eval", "nll": None, "perplexity": None, "loss": 2.0
    }  # fmt: skip


def test_no_file_is_no_lines(tmp_path):
    assert read_metrics(tmp_path) == []


def test_progress_without_a_terminal_is_a_line_a_record(capsys):
    progress = Progress()
    progress({"kind": "notice", "text": "compiling"})
    progress(
        {"kind": "train", "step": 50, "steps": 200, "loss": 5.25, "solver/evaluations": 62.0,
         "tokens_per_second": 12345.6, "seconds_left": 3725.0, "entries": "points"}
    )  # fmt: skip
    progress(
        {"kind": "eval", "step": 50, "steps": 200, "nll": 5.0, "perplexity": 148.4, "accuracy": math.nan}
    )
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        "compiling",
        "step 50/200  loss 5.2500  evaluations 62.0  12,346 points/s  1:02:05 left",
        "step 50/200  held out:  nll 5.0000  perplexity 148.40",
    ]


def test_progress_on_a_terminal_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = Progress()
    progress({"kind": "train", "step": 50, "steps": 200, "loss": 5.25})
    progress({"kind": "notice", "text": "[saved]"})
    progress.close()
    shown = capsys.readouterr().err
    assert "loss 5.2500" in shown and "[saved]" in shown


def test_tensorboard_holds_the_numbers(tmp_path):
    pytest.importorskip("tensorboardX")
    board = TensorBoard(tmp_path, 0)
    board.write({"step": 5, "kind": "train", "loss": 0.5, "nll": math.nan, "seconds": 1.0})
    board.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes() and b"train/nll" not in events.read_bytes()


def test_tensorboard_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match=r"pip install 'odeembed\[tensorboard\]'"):
        TensorBoard(tmp_path, 0)
