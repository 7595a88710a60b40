"""Density estimation: likelihood by the flow itself, or flow matching, and what both are measured by."""

import dataclasses
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from odeembed.batch import Batch
from odeembed.errors import ConfigError
from odeembed.mean import Mean
from odeembed.models.flow import ContinuousFlow
from odeembed.objectives.flow_matching import flow_matching_loss
from odeembed.objectives.rows import row_keys, solver_means, weighted_mean


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Minus the log-density of a point, in nats, and the penalty of its path where `SolveConfig.penalty` asks for one.

    References:
      Grathwohl et al. 2019, FFJORD; Finlay et al. 2020, How to Train Your Neural ODE, for the penalties.
    """

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch."""
        return model.init(key, batch)["params"]

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """The loss; the noise of a trace that is estimated is one a point and step."""
        keys = row_keys(jax.random.fold_in(key, step), batch)
        found = model.apply({"params": params}, batch, keys)
        rows = batch.index >= 0
        means = {"nats": weighted_mean(-found.log_prob, rows)}
        loss = -found.log_prob
        if found.penalty is not None:
            means["penalty"] = weighted_mean(found.penalty, rows)
            loss = loss + found.penalty
        return {"loss": weighted_mean(loss, rows), **means, **solver_means(found, batch)}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """`nats`, by the exact trace whatever training took."""
        return held_out_density(model, params, batch)


@dataclasses.dataclass(frozen=True)
class FlowMatching:
    """Conditional flow matching on points: nothing is solved in training.

    Attributes:
      sigma_min: standard deviation around a point at which its way from the noise ends.

    References:
      Lipman et al. 2023, Flow Matching for Generative Modeling, eq. (23).
    """

    sigma_min: float = 1e-3

    def init(self, model: Any, key: PRNGKeyArray, batch: Batch) -> Any:
        """Parameters of the model, from the shapes of a batch.

        Raises:
          ConfigError: the model's flow has no field that could be fitted.
        """
        if not isinstance(model.flow, ContinuousFlow):
            raise ConfigError(
                f"flow matching fits the field of a ContinuousFlow; got {type(model.flow).__name__}. Set "
                f"objective to Likelihood."
            )
        return Likelihood().init(model, key, batch)

    def __call__(
        self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray, step: Any
    ) -> dict[str, Mean]:
        """The loss, by point."""
        keys = row_keys(jax.random.fold_in(key, step), batch)
        loss = flow_matching_loss(model.flow, params["flow"], batch.values, keys, sigma_min=self.sigma_min)
        return {"loss": weighted_mean(loss, batch.index >= 0)}

    def evaluate(self, model: Any, params: Any, batch: Batch, key: PRNGKeyArray) -> dict[str, Mean]:
        """`nats`, by the exact trace."""
        return held_out_density(model, params, batch)


def held_out_density(model: Any, params: Any, batch: Batch) -> dict[str, Mean]:
    """Minus the log-density of a point, in nats, by the exact trace, and what the solver took."""
    found = model.apply({"params": params}, batch)
    return {"nats": weighted_mean(-found.log_prob, batch.index >= 0), **solver_means(found, batch)}
