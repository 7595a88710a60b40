import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.errors import ConfigError
from odeembed.train.optimizer import Aggressive, Optimizer

PARAMS = {
    "embedding": {"embedding": jnp.array([[1.0, -2.0], [0.5, 3.0]])},
    "body": {"field": {"kernel": jnp.array([[2.0, 1.0]]), "bias": jnp.array([0.5, -1.0])}},
    "body2": {"gain": jnp.array([4.0])},
}
GRADIENT = jax.tree.map(lambda p: 0.1 * p + 0.2, PARAMS)


def updates(optimizer, steps=3, params=PARAMS, gradient=GRADIENT):
    transformation = optimizer.build(10)
    state = transformation.init(params)
    for _ in range(steps):
        update, state = transformation.update(gradient, state, params)
        params = jax.tree.map(jnp.add, params, update)
    return params


def adamw(p, g, optimizer, steps, decayed):
    """Loshchilov and Hutter 2019, algorithm 2, by hand, in float64."""
    p, g = np.asarray(p, np.float64), np.asarray(g, np.float64)
    m = v = np.zeros_like(p)
    for t in range(1, steps + 1):
        m, v = optimizer.b1 * m + (1 - optimizer.b1) * g, optimizer.b2 * v + (1 - optimizer.b2) * g**2
        rate = float(optimizer.learning_rate(t - 1, 10))
        step = (m / (1 - optimizer.b1**t)) / (np.sqrt(v / (1 - optimizer.b2**t)) + optimizer.eps)
        p = p - rate * (step + (optimizer.weight_decay * p if decayed else 0.0))
    return p


def test_it_is_adamw_and_decays_no_vectors():
    optimizer = Optimizer(peak=0.1, warmup=2, clip=0.0, weight_decay=0.3)
    found = updates(optimizer)
    for path, decayed in ((("embedding", "embedding"), True), (("body2", "gain"), False)):
        p, g, q = (tree[path[0]][path[1]] for tree in (PARAMS, GRADIENT, found))
        np.testing.assert_allclose(q, adamw(p, g, optimizer, 3, decayed), rtol=1e-5)


def test_the_rate_rises_linearly_then_falls_along_a_cosine():
    optimizer = Optimizer(peak=1.0, warmup=4, end=0.2)
    rates = [float(optimizer.learning_rate(step, 12)) for step in range(13)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4] == pytest.approx(1.0) and rates[12] == pytest.approx(0.2)
    assert rates[8] == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert all(np.diff(rates[4:]) < 0)


def test_a_run_shorter_than_the_warm_up_only_rises():
    rates = [float(Optimizer(peak=1.0, warmup=100).learning_rate(step, 10)) for step in range(10)]
    assert rates == pytest.approx([0.01 * (step + 1) for step in range(10)])


def test_frozen_parameters_stay_to_the_bit_and_others_do_not():
    found = updates(Optimizer(frozen=("embedding", "body/field/bias"), weight_decay=0.5))
    assert jnp.array_equal(found["embedding"]["embedding"], PARAMS["embedding"]["embedding"])
    assert jnp.array_equal(found["body"]["field"]["bias"], PARAMS["body"]["field"]["bias"])
    assert not jnp.array_equal(found["body"]["field"]["kernel"], PARAMS["body"]["field"]["kernel"])


def test_a_prefix_ends_at_a_whole_name():
    found = updates(Optimizer(frozen=("body",)))
    assert not jnp.array_equal(found["body2"]["gain"], PARAMS["body2"]["gain"])


def test_the_gradient_of_frozen_parameters_neither_clips_nor_poisons():
    huge = {**GRADIENT, "embedding": {"embedding": jnp.full((2, 2), jnp.nan)}}
    plain, poisoned = (
        updates(Optimizer(frozen=("embedding",), clip=0.5), gradient=gradient)
        for gradient in (GRADIENT, huge)
    )
    jax.tree.map(np.testing.assert_array_equal, plain, poisoned)


def test_clipping_bounds_the_norm_of_the_gradient():
    # with eps far above the gradient, Adam's step is the clipped gradient over eps
    flat = Optimizer(peak=1.0, warmup=1, clip=1e3, eps=1e6, weight_decay=0.0, b1=0.0, b2=0.0)
    after = updates(flat, 1, gradient=jax.tree.map(lambda g: 1e5 * g, GRADIENT))
    step = jax.tree.leaves(jax.tree.map(jnp.subtract, PARAMS, after))
    assert math.sqrt(sum(float((leaf**2).sum()) for leaf in step)) == pytest.approx(1e-3, rel=0.01)


def test_paces_multiply_the_update_and_each_other():
    paces = (("body", 0.5), ("body/field/bias", 0.5))
    plain, paced = (updates(Optimizer(peak=0.1, warmup=1, paces=pace), 1) for pace in ((), paces))
    for name, factor in (("kernel", 0.5), ("bias", 0.25)):
        start, far, near = (np.asarray(tree["body"]["field"][name]) for tree in (PARAMS, plain, paced))
        np.testing.assert_allclose(near - start, factor * (far - start), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, plain["body2"], paced["body2"])


@pytest.mark.parametrize("settings", [{"frozen": ("body/fild",)}, {"paces": (("body/fild", 0.1),)}])
def test_a_prefix_that_matches_nothing_is_an_error_with_the_nearest_paths(settings):
    with pytest.raises(ConfigError, match=r"got 'body/fild', which matches none. Nearest: body/field"):
        Optimizer(**settings).check(PARAMS)


def test_prefixes_that_match_pass_the_check():
    Optimizer(frozen=("body/field",), paces=(("embedding/embedding", 2.0),)).check(PARAMS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("peak", -1.0), ("clip", math.nan), ("warmup", -1), ("b1", 1.0), ("weight_decay", math.inf)],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ConfigError, match=f"optimizer.{name} must be"):
        Optimizer(**{name: value})


def test_aggressive_parameters_go_ahead_and_the_others_follow_alone():
    """Two updates of the one for one of the others, each group with a state of its own; then all together."""
    optimizer = Optimizer(clip=0.0, warmup=0, aggressive=Aggressive(("body", "body2"), inner=2, until=6))
    transformation = optimizer.build(10)
    state, params, moved = transformation.init(PARAMS), PARAMS, []
    for _ in range(8):
        update, state = transformation.update(GRADIENT, state, params)
        moved.append({name: bool(jnp.any(jax.tree.leaves(part)[0] != 0)) for name, part in update.items()})
        params = jax.tree.map(jnp.add, params, update)
    ahead = {"embedding": False, "body": True, "body2": True}
    last = {name: not value for name, value in ahead.items()}
    assert moved == [ahead, ahead, last] * 2 + [dict.fromkeys(ahead, True)] * 2
    # The others' second update is Adam's second: of a constant gradient as long as the first, but for the decay.
    gain = adamw(PARAMS["body2"]["gain"], GRADIENT["body2"]["gain"], Optimizer(warmup=0), 1, False)
    first = updates(dataclasses.replace(optimizer), steps=1)["body2"]["gain"]
    np.testing.assert_allclose(first, gain, rtol=1e-5)


def test_aggressive_prefixes_are_checked():
    with pytest.raises(ConfigError, match=r"aggressive.prefixes must name parameters; got 'encoder'"):
        Optimizer(aggressive=Aggressive()).check(PARAMS)
    with pytest.raises(ConfigError, match="inner >= 1"):
        Aggressive(inner=0)
