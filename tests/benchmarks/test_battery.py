"""The battery in short form: harm is done, what does not hold is counted, and a result becomes a table."""

import json

import battery
import numpy as np
import pytest
from recording import write_result
from trials import faults, fuzz, kills
from trials.trial import SHOWN, Trial

from odeembed.errors import DataError
from odeembed.results import tables


def test_a_trial_counts_what_does_not_hold_and_tells_the_first():
    trial = Trial("harm", "nothing happens")
    for number in range(10):
        trial.check(number % 5 > 0 or number > 90, f"number {number}")
        trial.most("number", float(number))
    found = trial.to_json()
    assert (found["count"], found["failed"], found["failures"]) == (10, 2, ["number 0", "number 5"])
    assert found["figures"] == {"number": 9.0}
    for _ in range(2 * SHOWN):
        trial.check(False, "again")
    assert len(trial.to_json()["failures"]) == SHOWN and trial.to_json()["failed"] == 2 + 2 * SHOWN


@pytest.mark.parametrize("kind", ["text files", "vocabularies", "vectors"])
def test_changed_files_are_read_or_refused(kind):
    count, refused, slowest, failures = fuzz.read_some(kind, 40, [3, 0])
    assert count == 40 and not failures
    assert 0 < refused < 40, "some are refused and some are not"
    assert slowest < fuzz.SLOWEST


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("settings", 25), ("run directories", 40)])
def test_changed_settings_and_runs_are_taken_or_refused(kind, count):
    read, refused, _, failures = fuzz.read_some(kind, count, [3, 0])
    assert read == count and not failures and refused > 0


def test_an_error_of_another_kind_and_one_that_comes_late_are_failures(monkeypatch):
    def attempts(folder):
        def attempt(rng):
            if rng.random() < 0.5:
                raise KeyError("not ours")
            while True:
                pass

        return attempt

    monkeypatch.setitem(fuzz.KINDS, "bad", attempts)
    monkeypatch.setattr(fuzz, "SLOWEST", 0.05)
    count, refused, slowest, failures = fuzz.read_some("bad", 6, [0, 0])
    assert (count, refused, len(failures)) == (6, 0, 6)
    assert {failure.split(": ")[1] for failure in failures} == {"KeyError", "TimeoutError"}
    assert slowest >= 0.05


def test_what_takes_its_end_for_an_error_of_its_own_is_a_failure_too(monkeypatch):
    def attempts(folder):
        def attempt(rng):
            try:
                while True:
                    pass
            except TimeoutError as error:
                raise DataError("slow") from error

        return attempt

    monkeypatch.setitem(fuzz.KINDS, "bad", attempts)
    monkeypatch.setattr(fuzz, "SLOWEST", 0.05)
    _, refused, _, failures = fuzz.read_some("bad", 2, [0, 0])
    assert refused == 2 and len(failures) == 2


def test_changes_are_those_of_their_seed():
    data = b"word 1\n" * 20
    one, same, other = (fuzz.changed(np.random.default_rng(seed), data) for seed in (1, 1, 2))
    assert one == same != other
    tree = {"a": [1, {"b": None}], "c": "x"}
    trees = [fuzz.changed_tree(np.random.default_rng(seed), tree) for seed in range(30)]
    assert sum(json.dumps(one) != json.dumps(tree) for one in trees) > 20


@pytest.mark.slow
def test_a_killed_and_a_stopped_run_go_on_to_the_same_end(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "JAX_DISABLE_MOST_OPTIMIZATIONS", "0"
    )  # the runs are processes, and longer than their compiling
    found = [*kills.kills(2, tmp_path), *kills.signals(1, tmp_path)]
    assert [trial.failures for trial in found] == [[], [], []]
    assert [trial.count for trial in found] == [2, found[1].count, 1] and found[1].count >= 1


@pytest.mark.slow
def test_every_file_of_a_checkpoint_is_damaged_in_three_ways(tmp_path):
    (trial,) = faults.damage(tmp_path)
    assert not trial.failures and trial.count > 20


def test_a_part_writes_no_result_and_a_missed_bar_is_the_exit_status(tmp_path, monkeypatch, capsys):
    def soak(steps, folder):
        trial = Trial(f"{steps} steps", "memory is flat")
        trial.check(steps < 10, "it grows")
        yield trial

    monkeypatch.setattr(faults, "soak", soak)
    assert battery.main(["--only", "soak", "--steps", "5", "--results", str(tmp_path)]) == 0
    assert battery.main(["--only", "soak", "--steps", "50", "--results", str(tmp_path)]) == 1
    assert "50 steps: 1, 1 failed. \n  it grows" in capsys.readouterr().out
    monkeypatch.setattr(faults, "soak", lambda steps, folder: iter([Trial("nothing", "much")]))
    assert battery.main(["--only", "soak", "--results", str(tmp_path)]) == 1
    assert "nothing: 0, not tried" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        battery.main(["--only", "soak", "--steps", "0"])
    assert "argument --steps: expected at least 1; got 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_result_becomes_a_table(tmp_path):
    trial = Trial("kill -9", "nothing is lost", 1200, ["one"], {"steps lost, most": 19.0})
    result = {"kind": "battery", "commit": "0" * 40, "clean": True, "trials": [trial.to_json()]}
    write_result(tmp_path / "benchmarks" / "results" / "battery.json", result)
    assert "| kill -9 | 1,200 | nothing is lost | 1 | steps lost, most 19 |" in tables(tmp_path)["battery"]
