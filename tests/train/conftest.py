"""A model, an objective and a dataset so small that a run takes a second."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odeembed.batch import Batch
from odeembed.mean import Mean
from odeembed.train.optimizer import Optimizer


class TinyModel(nn.Module):
    """Predicts the next token from the present one: an embedding and a matrix."""

    vocab_size: int = 0
    width: int = 8

    @nn.compact
    def __call__(self, values):
        y = nn.Embed(self.vocab_size, self.width, name="embedding")(values)
        return nn.Dense(self.vocab_size, name="readout")(y)


@dataclasses.dataclass(frozen=True)
class NextToken:
    """Cross-entropy of the next token, with noise on the logits drawn for each sentence.

    Attributes:
      failing_step: at this step a solve fails in every row.
      poisoned_step: at this step the loss is NaN.
    """

    failing_step: int = -1
    poisoned_step: int = -1

    def init(self, model, key, batch):
        return model.init(key, batch.values)["params"]

    def __call__(self, model, params, batch, key, step):
        means = self._means(model, params, batch, jax.random.fold_in(key, step))
        poison = jnp.where(step == self.poisoned_step, jnp.nan, 1.0)
        rows = (batch.index >= 0).sum()
        failed = Mean(jnp.where(step == self.failing_step, rows, 0), rows)
        loss = Mean(means["nll"].total * poison, means["nll"].count)
        return {"loss": loss, "accuracy": means["accuracy"], "solver/failed": failed}

    def evaluate(self, model, params, batch, key):
        return self._means(model, params, batch, key)

    def _means(self, model, params, batch, key):
        logits = model.apply({"params": params}, batch.values)[:, :-1]
        keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(batch.index)
        logits = logits + jax.vmap(lambda key: 0.1 * jax.random.normal(key, logits.shape[1:]))(keys)
        truth, mask = batch.values[:, 1:], batch.mask[:, 1:] & (batch.index >= 0)[:, None]
        nll = -jnp.take_along_axis(jax.nn.log_softmax(logits), truth[..., None], -1)[..., 0]
        right = logits.argmax(-1) == truth
        return {
            "nll": Mean(jnp.where(mask, nll, 0.0).sum(), mask.sum()),
            "accuracy": Mean((right & mask).sum(), mask.sum()),
        }


class TinyText:
    """Sentences that count upward modulo 16, in two bucket shapes; half of the rows of every batch are shorter."""

    steps_per_epoch = 5

    def __init__(self, seed: int = 0, rows: int = 16, lengths: tuple[int, ...] = (6, 10)) -> None:
        self.seed, self.rows, self.lengths = seed, rows, lengths
        self.fingerprint: dict[str, Any] = {"seed": seed, "corpus": {"sha256": "c0ffee"}, "lengths": lengths}

    def batch(self, step: int) -> Batch:
        return self._batch(step, np.arange(self.rows) + 1000 * step)

    def evaluation(self, split: str):
        index = np.arange(self.rows)
        yield self._batch(100_000, index)
        yield self._batch(100_001, np.where(index < 3, index + self.rows, -1))

    def specialise(self, model: Any) -> Any:
        return model.clone(vocab_size=16)

    def _batch(self, step: int, index: np.ndarray) -> Batch:
        rng = np.random.default_rng([self.seed, step])
        length = self.lengths[step % len(self.lengths)]
        real = np.where(np.arange(self.rows) % 2, length, length - 3)
        values = (rng.integers(0, 16, (self.rows, 1)) + np.arange(length)) % 16
        times = np.broadcast_to(np.arange(length, dtype=np.float32), values.shape)
        mask = (np.arange(length) < real[:, None]) & (index >= 0)[:, None]
        return Batch(values.astype(np.int32), times, mask, index.astype(np.int32))


@dataclasses.dataclass(frozen=True)
class TinyExperiment:
    """The attributes of an experiment, at the size of a test."""

    model: Any = TinyModel()
    objective: Any = NextToken()
    optimizer: Any = Optimizer(peak=0.05, warmup=3)
    steps: int = 23
    seed: int = 3
    parallel: Any = "jit"
    fsdp: int = 1
    tensor: int = 1
    products: Any = "float32"
    accumulate: int = 1
    ema: float = 0.0
    log_every: int = 5
    evaluate_every: int = 10
    checkpoint_every: int = 7
    keep_latest: int = 2
    keep_best: int = 1
    monitor: str = "nll"
    patience: int = 0
    init_from: str | None = None
    init_only: tuple[str, ...] = ()
    tensorboard: bool = False


@pytest.fixture(scope="session")
def tiny():
    """The classes of this file, for tests in the same process."""
    return SimpleNamespace(
        Model=TinyModel,
        Objective=NextToken,
        Text=TinyText,
        Experiment=TinyExperiment,
        silent=lambda record: None,
    )
