"""The cross entropy of labels by hand; padding cannot move it, and halves of a batch add up to the whole."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import merge
from odeembed.objectives.classification import Classification

KEY = jax.random.key(0)
LOGITS = np.log([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5], [0.1, 0.6, 0.3], [0.2, 0.4, 0.4]]).astype(np.float32)
TARGET = np.array([0, 1, 1, 2], np.int32)


class Given:
    """A model whose logits are its input."""

    def __init__(self, penalty=None):
        self.penalty = penalty

    def apply(self, variables, batch):
        rows = batch.values.shape[0]
        penalty = None if self.penalty is None else jnp.full(rows, self.penalty)
        stats = {"evaluations": 3 * jnp.ones(rows, int)}
        failed = jnp.zeros(rows, bool)
        return SimpleNamespace(logits=jnp.asarray(batch.values), stats=stats, failed=failed, penalty=penalty)


def batch(rows=slice(None), padded=0):
    values, target = LOGITS[rows], TARGET[rows]
    index = np.arange(4, dtype=np.int32)[rows]
    index, values = np.pad(index, (0, padded), constant_values=-1), np.pad(values, ((0, padded), (0, 0)))
    values[index < 0] = [9.0, -9.0, 4.0][: values.shape[1]]
    mask = (index >= 0)[:, None]
    target = np.pad(target, (0, padded))
    return jax.tree.map(
        jnp.asarray, Batch(values, np.zeros(mask.shape, np.float32), mask, index, target=target)
    )


def numbers(means):
    return {name: mean.value for name, mean in means.items()}


def test_loss_and_error_by_hand():
    found = numbers(Classification()(Given(), {}, batch(), KEY, 0))
    nll = -np.mean(np.log([0.7, 0.25, 0.6, 0.4]))
    assert found["loss"] == pytest.approx(nll, rel=1e-6) and found["cross_entropy"] == found["loss"]
    assert found["error"] == 0.5  # of equal logits the first counts as the answer
    assert found["solver/evaluations"] == 3 and found["solver/failed"] == 0
    held_out = numbers(Classification(smoothing=0.3).evaluate(Given(2.0), {}, batch(), KEY))
    assert held_out["cross_entropy"] == pytest.approx(nll, rel=1e-6) and held_out["accuracy"] == 0.5
    smooth = numbers(Classification(smoothing=0.3)(Given(2.0), {}, batch(), KEY, 0))
    target = 0.7 * np.eye(3)[TARGET] + 0.1
    assert smooth["loss"] == pytest.approx(2 - np.mean(np.sum(target * LOGITS, -1)), rel=1e-6)
    assert smooth["cross_entropy"] == pytest.approx(nll, rel=1e-6) and smooth["penalty"] == 2


def test_padding_counts_nothing_and_halves_add_up():
    objective = Classification(smoothing=0.1)
    for measure in (
        lambda one: objective(Given(), {}, one, KEY, 0),
        lambda one: objective.evaluate(Given(), {}, one, KEY),
    ):
        whole = numbers(measure(batch()))
        parts = merge(measure(batch(slice(0, 1), padded=3)), measure(batch(slice(1, 4), padded=1)))
        assert numbers(parts) == pytest.approx(whole, rel=1e-6)


def test_a_smoothing_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"smoothing must lie in \[0, 1\); got 1.0"):
        Classification(smoothing=1.0)
