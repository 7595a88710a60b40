"""Classification: the cross entropy of labels, of whatever the model classifies: images, series, sentences."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean
from odeembed.objectives.rows import solver_means, weighted_mean


@dataclasses.dataclass(frozen=True)
class Classification:
    """Cross entropy of `batch.target`, int32 [b], and the penalty of each path where there is one.

    The model's output has `logits` [b, classes] and, as every solve, `stats`, `failed` and `penalty`.

    Attributes:
      smoothing: share of the probability that the loss spreads over all classes evenly; held-out metrics know of none.

    References:
      Szegedy et al. 2016, Rethinking the Inception Architecture, section 7, for label smoothing.
    """

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ConfigError(f"smoothing must lie in [0, 1); got {self.smoothing}. Use 0.1, or 0 for none.")

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch."""
        return model.init(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """The loss, the cross entropy without smoothing, and the share of labels missed, by example."""
        out, means = _measured(model, params, batch)
        rows = batch.index >= 0
        loss = (1 - self.smoothing) * label_nll(out.logits, batch.target)
        loss = loss - self.smoothing * jnp.mean(jax.nn.log_softmax(out.logits), axis=-1)
        if out.penalty is not None:
            means["penalty"] = weighted_mean(out.penalty, rows)
            loss = loss + out.penalty
        return {"loss": weighted_mean(loss, rows), **means}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """`cross_entropy` in nats, `error` and `accuracy`, and what the solver took."""
        means = _measured(model, params, batch)[1]
        error = means["error"]
        return {**means, "accuracy": Mean(error.count - error.total, error.count)}


def label_nll(logits: Any, target: Any) -> Float[Array, "*b"]:
    """Cross entropy, in nats, of labels int [*b] given logits [*b, classes]."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[..., None], axis=-1)[..., 0]


def _measured(model: Any, params: Any, batch: Batch) -> tuple[Any, dict[str, Mean]]:
    out, rows = model.apply({"params": params}, batch), batch.index >= 0
    wrong = jnp.argmax(out.logits, axis=-1) != batch.target
    return out, {
        "cross_entropy": weighted_mean(label_nll(out.logits, batch.target), rows),
        "error": weighted_mean(wrong, rows),
        **solver_means(out, batch),
    }
