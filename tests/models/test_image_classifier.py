"""Image classifiers: parameters counted, the residual network that Euler's steps are, and channels that are added."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.fields.augmented import Augmented
from odeembed.fields.convolution import ConvField, PixelField
from odeembed.models.image_classifier import ImageClassifier, ODEBlock, ResidualBlocks, Shrunk, Stem
from odeembed.objectives.classification import Classification
from odeembed.solve.config import Penalty, SolveConfig


def batch(rows=2, side=28, channels=1):
    values = np.random.default_rng(0).normal(size=(rows, side, side, channels)).astype(np.float32)
    mask = jnp.ones((rows, 1), bool)
    target = jnp.arange(rows, dtype=jnp.int32) % 10
    return Batch(
        jnp.asarray(values), jnp.zeros((rows, 1)), mask, jnp.arange(rows, dtype=jnp.int32), target=target
    )


def small(body, **settings):
    return ImageClassifier(Stem(4), body, classes=3, **settings)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (ImageClassifier(body=ResidualBlocks(6)), 576_778),
        (ImageClassifier(body=ResidualBlocks(1)), 206_858),
        (ImageClassifier(), 208_266),
        (ImageClassifier(body=ODEBlock(config=SolveConfig(solver="euler", steps=8))), 208_266),
        # 64 filters on 1 + 5 channels, 92 on 1: of like size, as Dupont et al. 2019 compare them.
        (ImageClassifier(Shrunk(), ODEBlock(Augmented(PixelField(64), 5)), pooling="flat"), 85_462),
        (ImageClassifier(Shrunk(), ODEBlock(PixelField(92)), pooling="flat"), 85_316),
    ],
)
def test_parameters_are_as_many_as_published(model, count):
    shapes = jax.eval_shape(lambda key: model.init(key, batch())["params"], jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_the_stem_ends_at_a_quarter():
    assert [Stem(4).init_with_output(jax.random.key(0), batch(side=n).values)[0].shape for n in (28, 32)] == [
        (2, 6, 6, 4),
        (2, 7, 7, 4),
    ]
    x = batch(side=6).values
    np.testing.assert_allclose(Shrunk(2).apply({}, x)[0, 1, 2, 0], x[0, 2:4, 4:6, 0].mean(), rtol=1e-5)
    with pytest.raises(ConfigError, match="side must divide the images' 6 x 6; got 4"):
        Shrunk(4).apply({}, x)


def test_steps_of_euler_are_residual_blocks_that_share_their_weights():
    model = small(ODEBlock(config=SolveConfig(solver="euler", steps=3)))
    params = model.init(jax.random.key(0), batch())["params"]
    y = Stem(4).apply({"params": params["stem"]}, batch().values)
    for step in range(3):
        y = y + ConvField().apply({"params": params["body"]["field"]}, step / 3, y) / 3
    found = model.apply({"params": params}, batch())
    end = ImageClassifier(Shrunk(), ResidualBlocks(0), classes=3)
    wanted = end.apply(
        {"params": {name: params[name] for name in ("norm", "head")}}, batch()._replace(values=y)
    )
    np.testing.assert_allclose(found.logits, wanted.logits, rtol=1e-4, atol=1e-5)
    assert found.stats["evaluations"].tolist() == [3, 3] and not found.failed.any()
    assert wanted.stats == {} and wanted.penalty is None


def test_a_residual_block_by_hand():
    body = ResidualBlocks(1)
    y = batch(side=5, channels=4).values
    params = body.init(jax.random.key(0), y)
    zero = jax.tree.map(jnp.zeros_like, params)
    np.testing.assert_array_equal(body.apply(zero, y)[0], y)
    (moved, nothing) = body.apply(params, y)
    assert nothing is None and moved.shape == y.shape and float(jnp.abs(moved - y).max()) > 0.1


def test_added_channels_are_zero_at_first_and_the_head_sees_them():
    model = small(
        ODEBlock(Augmented(ConvField(), extra=4), SolveConfig(solver="euler", steps=1)), pooling="flat"
    )
    params = model.init(jax.random.key(0), batch())["params"]
    assert params["head"]["kernel"].shape == (6 * 6 * 8, 3)
    rest = jax.tree.map(jnp.zeros_like, params["body"])
    y = Stem(4).apply({"params": params["stem"]}, batch().values)
    wanted = jnp.concatenate([y, jnp.zeros_like(y)], -1).reshape(2, -1) @ params["head"]["kernel"]
    np.testing.assert_allclose(
        model.apply({"params": {**params, "body": rest}}, batch()).logits, wanted, rtol=1e-4, atol=1e-5
    )


def test_a_penalty_and_what_the_solver_took_reach_the_objective():
    config = SolveConfig(solver="euler", steps=2, penalty=Penalty(kinetic=0.1))
    model, objective = small(ODEBlock(config=config)), Classification()
    params = objective.init(model, jax.random.key(0), batch())
    (_, means), gradient = jax.jit(
        jax.value_and_grad(
            lambda p: (lambda found: (found["loss"].total, found))(
                objective(model, p, batch(), jax.random.key(0), 0)
            ),
            has_aux=True,
        )
    )(params)
    assert means["penalty"].value > 0 and means["solver/evaluations"].value == 2
    assert means["loss"].value == pytest.approx(
        means["cross_entropy"].value + means["penalty"].value, rel=1e-5
    )
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))
