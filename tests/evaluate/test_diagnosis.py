"""Figures of the diagnosis against closed forms, and on every kind of model."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import DataError, RunError
from odeembed.evaluate.diagnosis import (
    _gradients,
    _minibatching,
    diagnose,
    lipschitz_bound,
    moving,
    paths_of,
    return_errors,
    separation,
    steepest,
)
from odeembed.fields.attention import AttentionField
from odeembed.fields.mlp import MLPField
from odeembed.models.decoders import JumpDecoder
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Depth, Jump, Latent, MaskedInterpolator, Transformer
from odeembed.models.sentence_vae import SentenceVAE
from odeembed.solve.config import SolveConfig
from odeembed.solve.neural_ode import Path
from odeembed.solve.solve import solve

BOSH = SolveConfig(solver="bosh3", steps=None)


class Decay(nn.Module):
    """dy/dt = -rate y, whose Lipschitz constant is the rate."""

    rate: float = 0.5

    def __call__(self, t, y, context=None):
        return -self.rate * y

    def lipschitz(self, radius=1.0):
        return jnp.float32(self.rate)


class Drain(nn.Module):
    """dy/dt = -sign(y) sqrt|y|: at 0 not Lipschitz; a path from y0 rests at 0 from t = 2 sqrt|y0| on."""

    def __call__(self, t, y, context=None):
        return -jnp.sign(y) * jnp.sqrt(jnp.abs(y))


class Shear(nn.Module):
    """dy/dt = A y with A = [[0, 3], [0, 0]], whose largest singular value is 3 though both eigenvalues are 0."""

    def __call__(self, t, y, context=None):
        return jnp.stack([3 * y[:, 1], 0 * y[:, 0]], axis=1)


def path(field, y0, ts, config):
    return Path(field, config, {}, jnp.asarray(y0), jnp.broadcast_to(jnp.asarray(ts), (len(y0), len(ts))))


def test_forward_then_backward_is_the_product_of_the_method_s_two_factors():
    """The midpoint rule multiplies by R(z) = 1 + z + z^2/2, z = -dt / 2: R(z) R(-z) = 1 + z^4 / 4."""
    one = path(Decay(), [[1.0, 2.0], [3.0, -1.0]], [0.0, 1.0], SolveConfig())
    np.testing.assert_allclose(return_errors(one, "replay"), 0.5**4 / 4, rtol=1e-4)
    two = path(Decay(), [[1.0], [3.0]], [0.0, 1.0, 2.0], SolveConfig())
    np.testing.assert_allclose(return_errors(two, "direct"), (1 + 0.5**4 / 4) ** 2 - 1, rtol=1e-4)
    np.testing.assert_allclose(return_errors(one, "backsolve"), 0.5**4 / 4, rtol=1e-4)


def test_the_way_back_of_a_contracting_path_gets_worse_with_its_length_and_a_failed_one_is_nan():
    errors = [
        float(return_errors(path(Decay(2.0), [[1.0]], [0.0, end], BOSH), "replay")[0]) for end in (0.5, 4.0)
    ]
    assert errors[0] < 1e-2 and errors[1] > 10 * errors[0]
    config = dataclasses.replace(BOSH, max_steps=1)
    assert math.isnan(return_errors(path(Decay(2.0), [[1.0]], [0.0, 4.0], config), "replay")[0])


def test_two_paths_do_not_meet_and_where_they_do_it_is_seen():
    y0, ts = [[1.0], [0.25]], np.linspace(0.0, 3.0, 7)
    fine = SolveConfig(solver="rk4", steps=100)
    apart = separation(path(Decay(), y0, ts, fine))
    np.testing.assert_allclose(apart, (math.exp(-1.5), 3.0, 0.5), rtol=1e-4)
    assert apart.rate <= 0.5 * (1 + 1e-4)
    meeting = path(Drain(), y0, ts, fine)
    met = separation(meeting)
    assert met.ratio < 1e-3 and met.rate > 2 * float(steepest(meeting))
    assert lipschitz_bound(meeting) == (math.inf, 1.0)


def test_pairs_that_start_together_are_none():
    assert math.isnan(separation(path(Decay(), [[1.0], [1.0]], [0.0, 1.0], SolveConfig())).ratio)


def test_the_steepest_slope_is_a_singular_value_and_not_an_eigenvalue():
    np.testing.assert_allclose(steepest(path(Shear(), [[1.0, 2.0]], [0.0, 1.0], BOSH)), 3.0, rtol=1e-5)


def test_the_bound_is_taken_on_a_cube_that_holds_the_path():
    grown = path(Decay(-1.0), [[1.0]], [0.0, 1.0], SolveConfig(solver="rk4", steps=8))
    bound, radius = lipschitz_bound(grown)
    assert bound == -1.0  # what the field says
    np.testing.assert_allclose(radius, math.e, rtol=1e-4)


def batch_of(lengths, length, seed=0):
    mask = np.arange(length) < np.asarray(lengths)[:, None]
    values = np.where(mask, np.random.default_rng(seed).integers(2, 9, mask.shape), 0).astype(np.int32)
    times = np.broadcast_to(np.arange(length, dtype=np.float32), mask.shape)
    return Batch(values, times, mask, np.arange(len(lengths), dtype=np.int32))


def started(body, lengths=(4, 6)):
    model, batch = MaskedInterpolator(9, 4, body=body, embed_std=1.0), batch_of(lengths, 6)
    return model, jax.jit(model.init)(jax.random.key(0), batch)["params"], batch


def test_the_ways_between_jumps_are_those_of_the_flow():
    model, params, batch = started(Jump(JumpFlow(4)))
    forward, backward = (paths_of(model, params, batch)[f"body.flow.{d}"] for d in ("forward", "backward"))
    for each in (forward, backward):
        assert each.y0.shape == (10, 4) and each.ts.shape == (10, 2)
    np.testing.assert_array_equal(
        moving(forward).ts, [[i, i + 1] for length in (4, 6) for i in range(length - 1)]
    )
    np.testing.assert_array_equal(moving(backward, 3).ts, [[-3, -2], [-5, -4], [-1, 0]])
    embedded = params["embedding"]["embedding"][batch.values] * 2.0
    times, mask = jnp.asarray(batch.times), jnp.asarray(batch.mask)
    flow = JumpFlow(4).apply({"params": params["body"]["flow"]}, embedded, times, mask, mask)
    ends = solve(forward.field.apply, forward.variables, forward.y0, forward.ts, forward.config).ys[:, 1]
    np.testing.assert_allclose(ends.reshape(2, 5, 4)[1], flow.before[0][1, 1:], rtol=1e-5, atol=1e-6)


def test_a_path_and_a_block_are_found_whole():
    body = Latent(JumpFlow(4, directions=("backward",)), MLPField(hidden=(4,)), latent=3)
    model, params, batch = started(body)
    found = paths_of(model, params, batch)
    assert set(found) == {"body.encoder.backward", "body.path.solve"}
    whole = moving(found["body.path.solve"])
    assert whole.y0.shape == (2, 3)
    np.testing.assert_array_equal(whole.ts, [[-1, 0, 1, 2, 3, 3, 3], [-1, 0, 1, 2, 3, 4, 5]])
    model, params, batch = started(Depth(4, AttentionField(heads=2), 2.0))
    block = paths_of(model, params, batch)["body.block.solve"]
    assert block.y0.shape == (2, 6, 4) and block.context.keys.shape == (2, 6)
    assert lipschitz_bound(moving(block))[0] == math.inf


def figures(body, lengths=(4, 6)):
    model, params, batch = started(body, lengths)

    def under(adjoint):
        return model.clone(body=with_adjoint(body, adjoint))

    return {figure.name: figure for figure in diagnose(model, params, batch, under)}


def with_adjoint(body, adjoint):
    if isinstance(body, Jump):
        config = dataclasses.replace(body.flow.config, adjoint=adjoint)
        return body.clone(flow=body.flow.clone(config=config))
    return body.clone(config=dataclasses.replace(body.config, adjoint=adjoint))


def test_on_a_grid_the_continuous_gradient_is_off_and_the_others_are_not():
    found = figures(Jump(JumpFlow(4)))
    for adjoint in ("replay", "direct", "recursive"):
        assert found[f"gradient {adjoint}"].value < 1e-5  # float32
        assert 0 < found[f"return {adjoint}"].value < 1
    assert found["gradient backsolve"].value > 1e-5
    for direction in ("forward", "backward"):
        bound, slope, near, floor = (
            found[f"body.flow.{direction} {name}"].value
            for name in ("lipschitz", "steepest", "nearest", "floor")
        )
        assert 0 < slope <= bound and 0 < floor <= near
    assert found["batch difference"].value <= 1e-5
    assert (found["batch steps"].value, found["failed"].value) == (0, 0)


@pytest.mark.slow
def test_with_adaptive_steps_the_continuous_gradient_is_off_and_the_others_are_not():
    found = figures(Jump(JumpFlow(4, config=dataclasses.replace(BOSH, max_steps=40))))
    exact = max(found[f"gradient {adjoint}"].value for adjoint in ("replay", "direct"))
    assert exact < 1e-5 < found["gradient backsolve"].value
    assert found["batch steps"].value == 0 and found["batch difference"].value <= 1e-5


def test_a_step_shared_by_the_batch_is_seen():
    model, params, batch = started(
        Depth(4, MLPField(hidden=(4,)), 2.0, dataclasses.replace(BOSH, control="batch"))
    )
    big = jax.tree.map(lambda x: x, params)
    big["embedding"]["embedding"] = (
        params["embedding"]["embedding"] * jnp.where(jnp.arange(9) < 5, 1, 100)[:, None]
    )
    big["body"]["field"] = jax.tree.map(lambda x: 3 * x, params["body"]["field"])
    found = {figure.name: figure.value for figure in _minibatching(model, big, batch)}
    assert found["batch steps"] > 0


def test_a_model_without_an_equation_and_a_batch_without_a_sentence_are_refused():
    for body in (Jump(JumpFlow(4, field=None), mask_input=True), Transformer(4, AttentionField(heads=2), 1)):
        with pytest.raises(RunError, match="solves no equation"):
            figures(body)
    model, params, batch = started(Jump(JumpFlow(4)))
    with pytest.raises(DataError, match="at least one sentence"):
        next(diagnose(model, params, batch._replace(index=np.full(2, -1)), lambda adjoint: model))


def test_a_decoder_is_read_at_the_end_of_each_sentence_too():
    forward = JumpFlow(4, directions=("forward",))
    model = SentenceVAE(9, 4, encoder=JumpFlow(4, None), decoder=JumpDecoder(forward), latent=2)
    batch = batch_of([3, 2], 4)
    params = jax.jit(model.init)(jax.random.key(0), batch)["params"]
    found = {figure.name: figure.value for figure in _minibatching(model, params, batch)}
    assert found["batch difference"] < 1e-5 and found["batch steps"] == found["failed"] == 0
    (gradient, *_) = _gradients(params, batch, lambda adjoint: model)
    assert gradient.value < 1e-5
