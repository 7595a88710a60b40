"""What every interpolator keeps: hidden tokens stay hidden, padding and neighbours change nothing, queries agree."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.experiment import replace_nodes
from odeembed.fields.attention import AttentionField
from odeembed.fields.mlp import MLPField
from odeembed.models.encoders import JumpFlow
from odeembed.models.interpolator import Depth, Jump, Latent, MaskedInterpolator, Transformer
from odeembed.precision import products
from odeembed.solve.config import Penalty, SolveConfig

V, E = 30, 12
BODIES = {
    "jump": Jump(JumpFlow(8)),
    "jump, mlp field": Jump(JumpFlow(8, field=MLPField(hidden=(8,), time=True))),
    "gru": Jump(JumpFlow(8, field=None), mask_input=True),
    "latent": Latent(JumpFlow(8, directions=("backward",)), MLPField(hidden=(8,)), latent=6),
    "depth": Depth(8, AttentionField(heads=2, expansion=2.0), 2.0, SolveConfig(steps=2)),
    "transformer": Transformer(8, AttentionField(heads=2, expansion=2.0), 2),
    "bert": Transformer(8, AttentionField(heads=2, expansion=2.0), 2, tied=False),
}
each_body = pytest.mark.parametrize("body", list(BODIES.values()), ids=list(BODIES))


def batch_of(lengths, length, seed=0):
    mask = np.arange(length) < np.asarray(lengths)[:, None]
    values = np.random.default_rng(seed).integers(2, V, mask.shape)
    times = np.broadcast_to(np.arange(length, dtype=np.float32), mask.shape)
    return Batch(
        np.where(mask, values, 0).astype(np.int32), times, mask, np.arange(len(lengths), dtype=np.int32)
    )


@pytest.fixture(scope="module")
def started():
    """Each model with its parameters, made once."""
    batch, made = batch_of([5, 8], 8), {}
    for body in BODIES.values():
        model = MaskedInterpolator(V, E, body=body, embed_std=1.0)
        made[body] = model, jax.jit(model.init)(jax.random.key(0), batch)
    return made


@each_body
def test_a_hidden_token_reaches_nothing(body, started):
    model, params = started[body]
    batch = batch_of([8], 8)
    visible = batch.mask & (np.arange(8) != 3)
    other = batch._replace(values=jnp.where(np.arange(8) == 3, 1, batch.values))
    read = jax.jit(lambda b: model.apply(params, b, visible).states)
    np.testing.assert_array_equal(read(batch), read(other))


@each_body
def test_a_visible_token_reaches_the_others_and_itself_only_where_the_body_says_so(body, started):
    model, params = started[body]
    batch = batch_of([8], 8)
    other = batch._replace(values=jnp.where(np.arange(8) == 3, 1, batch.values))
    read = jax.jit(lambda b: model.apply(params, b).states)
    change = np.abs(np.asarray(read(batch) - read(other)))[0].max(axis=-1)
    assert (np.delete(change, 3) > 0).all()
    assert (change[3] == 0) == body.excludes_own_token
    seen = jax.jit(lambda b: model.apply(params, b, method="contextual"))
    assert np.abs(np.asarray(seen(batch) - seen(other)))[0, 3].max() > 0


@each_body
def test_padding_and_neighbours_change_nothing(body, started):
    model, params = started[body]
    batch = batch_of([5, 8], 8)
    visible = batch.mask & (np.arange(8) != 2)
    together = model.apply(params, batch, visible)
    alone = Batch(batch.values[:1, :5], batch.times[:1, :5], batch.mask[:1, :5], batch.index[:1])
    single = model.apply(params, alone, visible[:1, :5])
    np.testing.assert_allclose(single.states[0], together.states[0, :5], rtol=2e-5, atol=2e-5)
    assert not together.failed.any()


@each_body
def test_a_query_at_a_hidden_tokens_time_is_the_tokens_reading(body, started):
    model, params = started[body]
    batch = batch_of([6, 8], 8)
    hidden = np.array([[2, 4], [3, 7]])
    visible = np.array(batch.mask)
    np.put_along_axis(visible, hidden, False, axis=1)
    visible, query = jnp.asarray(visible), jnp.asarray(np.take_along_axis(batch.times, hidden, axis=1))
    plain = np.take_along_axis(
        np.asarray(model.apply(params, batch, visible).states), hidden[..., None], axis=1
    )
    asked = model.apply(params, batch, visible, query).states
    np.testing.assert_allclose(asked, plain, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["jump", "jump, mlp field", "gru"])
def test_a_query_at_a_visible_tokens_time_does_not_see_the_token(name, started):
    model, params = started[BODIES[name]]
    batch = batch_of([8], 8)
    plain = model.apply(params, batch).states
    np.testing.assert_allclose(
        model.apply(params, batch, None, batch.times).states, plain, rtol=2e-5, atol=2e-5
    )


@pytest.mark.parametrize("name", ["jump", "latent"])
def test_between_tokens_the_path_moves_and_is_continuous(name, started):
    model, params = started[BODIES[name]]
    batch = batch_of([8], 8)
    query = jnp.array([[3.3, 3.301, 3.7]])
    states = np.asarray(model.apply(params, batch, None, query).states)[0]
    assert np.abs(states[0] - states[2]).max() > 1e-3
    assert np.abs(states[0] - states[1]).max() < 1e-2


def test_the_twins_state_rests_between_tokens(started):
    model, params = started[BODIES["gru"]]
    states = model.apply(params, batch_of([8], 8), None, jnp.array([[3.3, 3.7]])).states
    np.testing.assert_array_equal(states[0, 0], states[0, 1])


def test_the_tied_transformer_is_depth_by_unit_euler_steps(started):
    model, params = started[BODIES["transformer"]]
    body = BODIES["transformer"]
    euler = SolveConfig(solver="euler", steps=body.layers)
    depth = model.clone(body=Depth(body.width, body.field, float(body.layers), euler))
    renamed = jax.tree.map(lambda x: x, params)
    renamed["params"]["body"]["field"] = renamed["params"]["body"].pop("block_0")
    batch = batch_of([5, 8], 8)
    visible = batch.mask & (np.arange(8) != 2)
    np.testing.assert_allclose(
        depth.apply(renamed, batch, visible).states,
        model.apply(params, batch, visible).states,
        rtol=1e-5,
        atol=1e-5,
    )


def test_logits_are_products_with_the_embedding_and_all_three_forms_agree(started):
    model, params = started[BODIES["jump"]]
    states = jax.random.normal(jax.random.key(5), (4, E))
    table, bias = params["params"]["embedding"]["embedding"], params["params"]["bias"]
    logits = model.apply(params, states, method="logits")
    np.testing.assert_allclose(logits, states @ table.T + bias, rtol=1e-5, atol=1e-5)
    ids = jnp.array([3, 0, 29, 3])
    np.testing.assert_allclose(
        model.apply(params, states, ids, method="logits_of"), logits[:, ids], rtol=1e-5
    )
    each = model.apply(params, states, ids, method="logit_of_each")
    np.testing.assert_allclose(each, logits[jnp.arange(4), ids], rtol=1e-5)


def operations(jaxpr):
    """The names of all primitives of a program, those of its parts included."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            for part in value if isinstance(value, tuple) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from operations(inner)


@each_body
def test_every_product_of_a_model_obeys_the_setting(body, started):
    model, params = started[body]
    ids = jnp.array([3, 0])

    def all_products(batch):
        states = model.apply(params, batch).states
        logits = (("logits", ()), ("logits_of", (ids,)), ("logit_of_each", (batch.values,)))
        return [model.apply(params, states, *rest, method=name) for name, rest in logits]

    counted = {}
    for kind in ("float32", "bfloat16"):
        names = list(operations(products(kind)(jax.make_jaxpr(all_products))(batch_of([5, 8], 8)).jaxpr))
        counted[kind] = names.count("dot_general"), names.count("reduce_precision")
    count = counted["float32"][0]
    assert counted == {"float32": (count, 0), "bfloat16": (count, 2 * count + 2)}
    assert count > 3


def test_an_output_table_of_its_own():
    model = MaskedInterpolator(V, E, body=BODIES["gru"], tied=False)
    params = model.init(jax.random.key(0), batch_of([4], 8))
    gradient = jax.grad(lambda p: model.apply(p, jnp.ones((1, E)), method="logits").sum())(params)["params"]
    assert (gradient["embedding"]["embedding"] == 0).all()
    assert (gradient["output"]["embedding"] != 0).all()


@each_body
def test_the_penalty_of_a_sentence_follows_its_key_and_neither_padding_nor_neighbours(body, started):
    model, params = started[body]
    penalty = Penalty(kinetic=1.0, jacobian=1.0, taylor=1.0)
    model = replace_nodes(model, SolveConfig, lambda config: dataclasses.replace(config, penalty=penalty))
    run = jax.jit(lambda batch, keys: model.apply(params, batch, keys=keys).penalty)
    batch, keys = batch_of([5, 8, 6], 8), jax.random.split(jax.random.key(1), 3)
    found = run(batch, keys)
    if isinstance(body, Transformer) or (isinstance(body, Jump) and body.flow.field is None):
        assert found is None
        return
    assert found.shape == (3,) and (found > 0).all()
    longer = jax.tree.map(lambda x: np.pad(x, ((0, 0), (0, 3)))[:1] if x.ndim > 1 else x[:1], batch)
    longer = longer._replace(times=np.arange(11, dtype=np.float32)[None])
    np.testing.assert_allclose(run(longer, keys[:1]), found[:1], rtol=1e-5)
    assert abs(run(longer, keys[1:2]) / found[0] - 1) > 1e-4
