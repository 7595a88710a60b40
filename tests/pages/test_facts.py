"""What the files of a run tell of it."""

import pytest

from odeembed import runs
from odeembed.errors import ConfigError
from odeembed.pages.facts import MEANINGS, circumstances, headline, refuse_none


def test_a_finished_run_tells_its_metrics_and_how_it_was_made(interpolator):
    facts = runs.facts(interpolator)
    assert facts.name == "interpolator"
    assert facts.command == "odeembed train configs/tiny.py --size small --seed 0"
    assert "perplexity" in facts.metrics and not any(name.startswith("valid/") for name in facts.metrics)
    assert all("/" not in name for name in headline(facts.metrics))
    assert facts.result is not None
    told = dict(circumstances(facts.result))
    assert told["fingerprint"] == facts.result["fingerprint"]
    assert "1 x cpu" in told["device"] and told["steps"].startswith("4,")


def test_every_metric_without_parts_is_explained(interpolator, vae, seq2seq, density):
    for path in (interpolator, vae, seq2seq, density):
        assert headline(runs.facts(path).metrics).keys() <= MEANINGS.keys()


def test_an_unfinished_run_has_no_metrics(interpolator):
    unfinished = runs.facts(interpolator)._replace(result=None)
    assert unfinished.metrics == {}


def test_no_run_is_refused():
    with pytest.raises(ConfigError, match="got none"):
        refuse_none([])
