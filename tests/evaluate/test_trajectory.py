"""Trajectories of models that have learned a few pairs by heart, and their figures by hand."""

import json
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from odeembed.data.padding import padded
from odeembed.errors import ConfigError, DataError
from odeembed.evaluate.trajectory import END, handovers, legs, speeds, trajectory
from odeembed.models.decoders import FlowDecoder
from odeembed.solve.config import SolveConfig
from odeembed.translate import Translator


def read(run, number, **settings):
    return trajectory(run.translator, run.translator.read([run.pairs[number][0]]).ids[0], **settings)


@pytest.fixture(scope="module")
def jumped(jumping):
    return read(jumping, 5, points=4)  # b e b c


@pytest.fixture(scope="module")
def flowed(flowing):
    return read(flowing, 2, points=4)  # e b a b


def test_its_words_are_those_that_are_said_and_agree_with_its_finer_steps(jumping, jumped, flowing, flowed):
    for run, number, path in ((jumping, 5, jumped), (flowing, 2, flowed)):
        assert " ".join(path.source) == run.pairs[number][0]
        assert [token.word for token in path.said] == [*run.pairs[number][1].split(), END]
        assert path.agrees == 1


def test_times_go_from_token_to_token_and_meet_twice_at_each(jumped):
    np.testing.assert_allclose(jumped.times, np.concatenate([np.linspace(i - 1, i, 5) for i in range(5)]))
    n = len(jumped.times)
    assert jumped.probability.shape == (n, len(jumped.words)) and len(jumped.winner) == n
    assert jumped.speed.shape == (n,) and jumped.plane.shape == (n, 2) and jumped.attention.shape == (n, 4)
    np.testing.assert_allclose(jumped.attention.sum(axis=1), 1, rtol=1e-5)
    assert 0 < jumped.variance[1] <= jumped.variance[0] <= 1


def test_where_a_state_jumps_words_hand_over_and_where_it_flows_in_between(jumped, flowed):
    ends = {0.0, 1.0, 2.0, 3.0}
    assert ends <= {round(change.time, 6) for change in jumped.handovers}
    between = [change.time for change in flowed.handovers]
    assert len(between) >= 4 and not ends & {round(time, 6) for time in between}
    assert flowed.attention is None and all(token.source is None for token in flowed.said)
    assert all(token.source in jumped.source for token in jumped.said)


def test_a_token_wins_around_its_own_time_from_hand_over_to_hand_over(flowed):
    times = [-1, *(change.time for change in flowed.handovers), flowed.times[-1]]
    for token in flowed.said:
        assert token.start <= token.time <= token.stop and {token.start, token.stop} <= set(times)
        here = (flowed.times > token.start) & (flowed.times < token.stop)
        assert {flowed.winner[i] for i in np.flatnonzero(here)} <= {token.word}
    at = np.flatnonzero(flowed.times == 2)[0]
    number = flowed.words.index(flowed.said[2].word)
    assert flowed.said[2].probability == flowed.probability[at, number]
    assert flowed.said[2].speed == flowed.speed[at]


def test_fewer_words_are_drawn_where_asked_and_the_likeliest_come_first(flowing, flowed):
    few = read(flowing, 2, points=4, words=2)
    assert few.words == flowed.words[:2]
    highest = flowed.probability.max(axis=0)
    assert (np.diff(highest) <= 0).all() and set(flowed.words) <= set(flowed.winner)


def test_its_numbers_as_json(jumped, flowed):
    for path in (jumped, flowed):
        found = json.loads(json.dumps(path.to_json(), allow_nan=False))
        assert found["times"] == path.times.tolist() and found["said"][0]["word"] == path.said[0].word
        assert found["handovers"][0] == path.handovers[0]._asdict()
        assert np.shape(found["probability"]) == path.probability.shape


def test_a_word_that_finer_steps_take_back_has_no_span_and_does_not_agree(flowing):
    coarse = FlowDecoder(24, config=SolveConfig(solver="euler", steps=1))
    one = flowing.translator
    rough = Translator(one.model.clone(decoder=coarse), one.params, one.vocabulary, one.longest)
    path = read(SimpleNamespace(translator=rough, pairs=flowing.pairs), 2, points=4)
    lost = [math.isnan(token.start) for token in path.said]
    assert any(lost) and path.agrees == pytest.approx(1 - np.mean(lost))
    written = path.to_json()["said"]
    assert [token["start"] is None and token["stop"] is None for token in written] == lost


def test_bad_input_is_named(flowing):
    with pytest.raises(DataError, match="no token"):
        trajectory(flowing.translator, [])
    with pytest.raises(ConfigError, match="points and words must be at least 1; got 0 and 6"):
        read(flowing, 0, points=0)


@pytest.mark.parametrize("name", ["jumping", "resting", "flowing"])
def test_legs_end_in_the_states_of_the_decoder_and_begin_after_its_jumps(name, request):
    translator = request.getfixturevalue(name).translator
    model, params = translator.model, translator.params
    batch = padded([[2, 3, 4], [5]], [0, 1], (2, 4), 0)
    apply = lambda method, *args: model.apply({"params": params}, *args, method=method)  # noqa: E731

    @jax.jit
    def both(batch):
        heard = apply("encode", batch)
        return legs(model, params, heard, batch, (0.0, 1.0)).states, apply("decode", heard, batch).states

    states, whole = both(jax.tree.map(np.asarray, batch._replace(groups=None)))
    for row, length in enumerate((3, 1)):
        np.testing.assert_allclose(states[row, : length + 1, 1], whole[row, : length + 1], atol=1e-5)
        jump = np.abs(states[row, 1 : length + 1, 0] - states[row, :length, 1]).max(axis=-1)
        flow = np.abs(states[row, 1 : length + 1, 1] - states[row, 1 : length + 1, 0]).max(axis=-1)
        assert ((jump > 1e-3) == (name != "flowing")).all() and ((flow > 1e-3) == (name != "resting")).all()


def test_hand_overs_by_hand():
    scores = np.array([[0.0, -1, -9], [0, -1, -9], [-3, 0, -9], [-3, -9, 0]])
    changes, moments = handovers(np.array([0.0, 1, 2, 2]), scores, scores.argmax(axis=1))
    assert changes.tolist() == [1, 2]
    np.testing.assert_allclose(moments, [1.25, 2])


def test_the_speed_of_a_parabola_is_exact():
    t = np.linspace(0, 1, 5)
    states = np.stack([3 * t**2, 4 * t**2], axis=-1)
    np.testing.assert_allclose(speeds(states, 4), 10 * t, atol=1e-12)
    np.testing.assert_allclose(speeds(states[::4], 1), [5, 5])
