"""evaluate_split against a hand-made objective whose means are known exactly."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import DataError
from odeembed.evaluate.masked import compiled_evaluation, evaluate_split
from odeembed.mean import Mean

TRACES = []  # the shapes SumOfValues was traced with


@dataclass(frozen=True)
class Scale:
    """A model that multiplies by its one parameter."""


@dataclass(frozen=True)
class SumOfValues:
    """An objective whose held-out mean is the mean of scale * value over real entries of real rows."""

    def evaluate(self, model, params, batch, key):
        TRACES.append(batch.values.shape)
        counted = batch.mask & (batch.index >= 0)[:, None]
        total = jnp.sum(jnp.where(counted, batch.values * params["scale"], 0.0))
        noise = jax.random.uniform(jax.random.fold_in(key, batch.index[0]))
        return {"nll": Mean(total, jnp.sum(counted)), "noise": Mean(noise, 1)}


def make_batches(values, rows=4, lengths=(3, 5)):
    """Cuts a [k, l] table into padded batches of two lengths; the last rows have index -1."""
    batches = []
    for start in range(0, len(values), rows):
        length = lengths[(start // rows) % len(lengths)]
        table = np.full((rows, length), 1e6, np.float32)
        part = values[start : start + rows, : min(length, values.shape[1])]
        table[: len(part), : part.shape[1]] = part
        mask = np.zeros((rows, length), bool)
        mask[: len(part), : part.shape[1]] = True
        index = np.full(rows, -1, np.int32)
        index[: len(part)] = np.arange(start, start + len(part))
        times = np.tile(np.arange(length, dtype=np.float32), (rows, 1))
        batches.append(Batch(table, times, mask, index))
    return batches


def counted(batches):
    return np.concatenate([batch.values[batch.mask & (batch.index >= 0)[:, None]] for batch in batches])


def test_equals_the_mean_over_all_real_entries():
    values = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    batches = make_batches(values)
    means = evaluate_split(Scale(), {"scale": 2.0}, SumOfValues(), batches, jax.random.key(0))
    assert means["nll"].count == len(counted(batches)) == 30
    np.testing.assert_allclose(
        means["nll"].value, 2.0 * counted(batches).astype(np.float64).mean(), rtol=1e-5
    )


def test_compiles_once_per_shape_and_not_again_for_new_parameters():
    compiled_evaluation.cache_clear()
    TRACES.clear()
    batches = make_batches(np.ones((16, 3), np.float32))
    for scale in (1.0, 2.0, 3.0):
        means = evaluate_split(
            Scale(), {"scale": jnp.float32(scale)}, SumOfValues(), batches, jax.random.key(0)
        )
        assert means["nll"].value == scale
    assert sorted(TRACES) == [(4, 3), (4, 5)]


def test_same_key_same_means():
    batches = make_batches(np.ones((8, 3), np.float32))
    first, second, other = (
        evaluate_split(Scale(), {"scale": 1.0}, SumOfValues(), batches, jax.random.key(seed))["noise"].value
        for seed in (1, 1, 2)
    )
    assert first == second != other


def test_many_batches_lose_no_digits():
    batches = make_batches(np.full((4, 3), 0.1, np.float32), lengths=(3,)) * 3000
    means = evaluate_split(Scale(), {"scale": 1.0}, SumOfValues(), batches, jax.random.key(0))
    np.testing.assert_allclose(means["nll"].value, np.float32(0.1), rtol=3e-7)


def test_an_empty_split_is_an_error():
    with pytest.raises(DataError, match="empty split"):
        evaluate_split(Scale(), {"scale": 1.0}, SumOfValues(), [], jax.random.key(0))
