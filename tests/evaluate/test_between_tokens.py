"""Figures between tokens by hand, and of models that have learned a few pairs by heart."""

import math

import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.evaluate.between_tokens import BetweenTokens, Probes, bending, handover, path_lengths, probe


def test_a_word_takes_over_where_its_margin_crosses_0_for_good():
    margins = np.array([[-1.0, -2, 2, 3], [1, 1, 1, 1], [-1, 1, -1, 3], [2, -1, -1, 1]])
    found = handover(margins, np.array([0, 0.25, 0.5, 1]))
    np.testing.assert_allclose(found, [0.375, 0, 0.625, 0.75])
    assert handover(margins[:0], np.array([0, 0.25, 0.5, 1])).shape == (0,)


def test_lengths_and_bends_of_a_path_by_hand():
    # From 0 a jump to 3, flown to 4 by way of 5; then a jump to 4 (none), flown to 4 (none).
    flown = np.array([[9.0, 9, 0], [3, 5, 4], [4, 4, 4], [8, 8, 8]])[None, ..., None]
    real = np.array([[True, True, True, False]])
    np.testing.assert_allclose(path_lengths(flown, real), [2 + 1, 1, 3, 4])
    # States 0, 5, 4, 4, 4 beside 0, 2, 4, 4, 4: second differences -6, 1, 0 and 0, -2, 0.
    np.testing.assert_allclose(bending(flown, real), [37, 4, 3])
    np.testing.assert_allclose(bending(flown, real & [True, False, False, False]), 0)


@pytest.fixture(scope="module")
def measured(jumping, resting, flowing):
    runs = {"jumping": jumping, "resting": resting, "flowing": flowing}
    return {name: BetweenTokens(points=8)(run) for name, run in runs.items()}


def test_names_and_ranges(measured):
    for name, found in measured.items():
        assert ("between/accuracy+0.25" in found) == (name == "flowing")
        for key in ("accuracy-1", "accuracy-0.75", "accuracy+0", "handover/counted", "jumps"):
            assert 0 <= found[f"between/{key}"] <= 1
        assert found["between/length"] >= 1 - 1e-6 and found["between/bending"] >= 0


def test_a_state_that_jumps_says_its_next_word_at_once_and_one_that_flows_half_way(measured):
    jumping, flowing = measured["jumping"], measured["flowing"]
    assert jumping["between/accuracy+0"] == 1 and jumping["between/accuracy-0.5"] > 0.95
    assert jumping["between/handover/mean"] < 0.1 < jumping["between/jumps"]
    assert flowing["between/accuracy+0"] == 1 > flowing["between/accuracy-0.75"]
    assert 0.2 < flowing["between/handover/mean"] < 0.8 and 0 < flowing["between/handover/std"] < 0.3
    assert flowing["between/jumps"] == 0 and flowing["between/handover/direct"] > 0.5
    assert flowing["between/bending"] < jumping["between/bending"] / 20


def test_what_rests_between_tokens_goes_straight_and_all_at_once(measured):
    resting = measured["resting"]
    assert resting["between/length"] == pytest.approx(1) and resting["between/jumps"] == 1
    assert math.isnan(resting["between/flow_length"])
    assert resting["between/accuracy-1"] == resting["between/accuracy+0"]
    assert resting["between/bending"] > resting["between/bending_linear"] > 0


def test_only_so_many_sentences_are_read(flowing, resting):
    asked = BetweenTokens(sentences=1, points=8)(resting)
    assert asked["between/length"] == pytest.approx(1)
    first = [len(pair[1].split()) for pair in resting.pairs[3:]]
    shares = asked["between/accuracy+0"] * (first[0] + 1)
    assert shares == pytest.approx(round(shares))


def test_a_probe_finds_what_is_linear_and_not_what_is_shuffled():
    rng = np.random.default_rng(0)
    labels = rng.choice([3, 5, 8], 600)
    states = np.eye(9)[labels] @ rng.normal(size=(9, 12)) + 0.1 * rng.normal(size=(600, 12)) + 4
    assert np.mean(probe(states[:300], labels[:300], states[300:], 1e-2) == labels[300:]) > 0.98
    shuffled = probe(states[:300], rng.permutation(labels[:300]), states[300:], 1e-2)
    assert np.mean(shuffled == labels[300:]) < 0.6 and set(shuffled) <= {3, 5, 8}


def test_probes_of_a_run_beat_their_control(jumping):
    found = Probes(fractions=(0.0, 0.5))(jumping)
    fractions = ("0", "0.5", "frequent", "shuffled")
    names = {f"probes/{which}/{name}" for which in ("current", "next") for name in fractions}
    assert set(found) == names | {"probes/covered"} and found["probes/covered"] == 1
    for fraction in ("0", "0.5"):
        assert found[f"probes/current/{fraction}"] > found["probes/current/shuffled"] + 0.4
        assert found[f"probes/next/{fraction}"] > found["probes/next/shuffled"] + 0.1


def test_rare_words_are_left_out_of_probes(jumping):
    found = Probes(fractions=(1.0,), words=2)(jumping)
    assert 0 < found["probes/covered"] < 1 and found["probes/current/1"] > 0.8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BetweenTokens(points=6), "multiple of 4.*got 6"),
        (lambda: BetweenTokens(sentences=0), "at least 1; got 0"),
        (lambda: Probes(fractions=(0.5, 1.5)), r"between 0 and 1; got \(0.5, 1.5\)"),
        (lambda: Probes(fractions=()), "between 0 and 1"),
        (lambda: Probes(ridge=0.0), "above 0; got 1000, 500 and 0.0"),
    ],
)
def test_settings_without_meaning_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
