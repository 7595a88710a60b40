"""A planar flow of 64 layers on UCI's power plant: the discrete chain of maps that a continuous flow came from."""

from dataclasses import replace

from powerplant_flow import experiments as flow

from odeembed.models.density import DensityEstimator
from odeembed.models.planar import PlanarFlow

experiments = {
    size: replace(one, model=DensityEstimator(PlanarFlow(64), width=one.model.width))
    for size, one in flow.items()
}
