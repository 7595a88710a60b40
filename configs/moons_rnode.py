"""moons_flow with short and straight paths: the kinetic and the Jacobian term are added to the loss (RNODE)."""

from dataclasses import replace

from moons_flow import experiments as flow

from odeembed.models.density import DensityEstimator
from odeembed.solve.config import Penalty

penalty = Penalty(kinetic=0.01, jacobian=0.01)
experiments = {
    size: replace(
        one,
        model=DensityEstimator(one.model.flow.clone(config=replace(one.model.flow.config, penalty=penalty))),
    )
    for size, one in flow.items()
}
