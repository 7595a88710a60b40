"""The hidden path in its plane: states that lie in a plane keep their distances, and arrows are the field's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.evaluate.hidden_path import hidden_path
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Jump, Latent, MaskedInterpolator, Transformer
from odeembed.solve.config import SolveConfig

TIMES = np.arange(33, dtype=np.float32) / 16


class Turning(nn.Module):
    """dy/dt = W y + t, an example of a field that depends on the time where `timed`."""

    timed: bool = False
    event_ndim = 1

    @nn.compact
    def __call__(self, t, y, context=None):
        return nn.Dense(y.shape[-1], use_bias=False)(y) + (t if self.timed else 0.0)


def batch() -> Batch:
    values = np.array([[2, 3, 4]], np.int32)
    return Batch(values, np.arange(3, dtype=np.float32)[None], np.ones((1, 3), bool), np.zeros(1, np.int32))


def read(body):
    model = MaskedInterpolator(vocab_size=6, embed_dim=4, body=body)
    params = model.init(jax.random.key(0), batch())["params"]
    states = model.apply({"params": params}, batch(), query=TIMES[None], method="hidden").states[0]
    return model, params, np.asarray(states)


@pytest.mark.parametrize("timed", [False, True])
def test_the_arrows_are_the_field_at_the_places_of_the_plane(timed):
    model, params, states = read(Jump(JumpFlow(3, Turning(timed))))
    found = hidden_path(model, params, states, TIMES)
    forward = states[:, :3]
    centre = forward.mean(0)
    # The plane's directions again, from the coordinates alone: they solve states - centre = plane @ directions + rest.
    directions = np.linalg.lstsq(found.plane, forward - centre, rcond=None)[0]
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-4)
    kernel = np.asarray(params["body"]["flow"]["field_forward"]["Dense_0"]["kernel"])
    places = centre + found.places @ directions
    assert found.field.shape == ((3 if timed else 1), len(found.places), 2)
    for moment, slopes in enumerate(found.field):
        wanted = (places @ kernel + (moment if timed else 0.0)) @ directions.T
        np.testing.assert_allclose(slopes, wanted, rtol=1e-3, atol=1e-4)


def test_the_plane_holds_the_most_variance_that_a_plane_can():
    model, params, states = read(Jump(JumpFlow(5, Turning())))
    forward = states[:, :5]
    found = hidden_path(model, params, states, TIMES)
    lengths = np.linalg.svd(forward - forward.mean(0), compute_uv=False) ** 2
    np.testing.assert_allclose(found.variance, lengths[:2] / lengths.sum(), rtol=1e-3)
    assert np.abs(found.places).max() > np.abs(found.plane).max()


def test_a_latent_path_has_the_arrows_of_its_own_field():
    body = Latent(encoder=JumpFlow(3, None, directions=("backward",)), field=Turning(), latent=3)
    model, params, states = read(body)
    found = hidden_path(model, params, states, TIMES)
    assert found.field.shape[0] == 1 and np.isfinite(found.field).all()
    kernel = np.asarray(params["body"]["field"]["Dense_0"]["kernel"])
    directions = np.linalg.lstsq(found.plane, states - states.mean(0), rcond=None)[0]
    wanted = (states.mean(0) + found.places @ directions) @ kernel @ directions.T
    np.testing.assert_allclose(found.field[0], wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "body", [Jump(JumpFlow(3, None)), Transformer(width=8, layers=2)], ids=["no field", "no time"]
)
def test_a_model_that_solves_nothing_over_time_has_a_path_without_arrows(body):
    model, params, states = read(body)
    found = hidden_path(model, params, states, TIMES)
    assert found.plane.shape == (33, 2) and len(found.places) == 0 and found.field.shape == (1, 0, 2)


def test_a_state_of_one_number_lies_on_a_line():
    model, params, states = read(Jump(JumpFlow(1, Turning(), SolveConfig())))
    found = hidden_path(model, params, states, TIMES)
    np.testing.assert_array_equal(found.plane[:, 1], 0)
    assert jnp.isclose(found.variance[0], 1.0, atol=1e-4)
