"""Runs beside each other: the same metric in one row, and the settings that differ."""

from dataclasses import replace

import pytest

from odeembed import runs
from odeembed.errors import ConfigError, RunError
from odeembed.pages.comparison import as_text, comparison, differing, metrics_of


def test_a_row_has_the_metric_of_each_run(interpolator, density):
    both = [runs.facts(interpolator), runs.facts(density)]
    rows = {name: values for name, *values in metrics_of(both)}
    assert rows["perplexity"] == [both[0].metrics["perplexity"], None]
    assert rows["nats"] == [None, both[1].metrics["nats"]]
    parts = [name for name, *_ in metrics_of(both, parts=True)]
    assert "accuracy/gap1" in parts and not set(parts) & rows.keys()
    assert as_text([["nats", None, 0.123456]]) == [["nats", "–", "0.1235"]]


def test_settings_that_differ_are_told_of_the_later_runs(interpolator):
    one = runs.facts(interpolator)
    other = one._replace(name="other", experiment=replace(one.experiment, steps=9))
    assert differing([one, other]) == [("other", "steps: 4, not 9")]
    page = comparison([one, other])
    assert "steps: 4, not 9" in page and ">other<" in page


def test_one_run_and_an_unfinished_one_have_a_page_too(interpolator):
    one = runs.facts(interpolator)
    assert "There is one run only." in comparison([one])
    assert "No run is finished yet." in comparison([one._replace(result=None)])


def test_bad_input_is_refused(interpolator, tmp_path):
    with pytest.raises(ConfigError, match="got none"):
        runs.compare([])
    with pytest.raises(RunError, match="not a run directory"):
        runs.compare([interpolator, tmp_path])
    assert list(tmp_path.iterdir()) == []
